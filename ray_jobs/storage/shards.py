"""Shards: rows of one split in one Parquet file whose footer holds what drivers need to know about it.

The footer (`ShardMetadata`) holds the number of rows, counts by status, the loss histogram if there is one, and a
SHA-256 of the content of the rows, so that accounting never reads the images of a shard.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from amia.errors import RunError
from ray_jobs.storage.store import Store

__all__ = [
    "ShardMetadata",
    "content_sha256",
    "encode",
    "metadata_of",
    "read_all_metadata",
    "read_metadata",
    "read_shard",
    "read_shards",
    "total_counts",
    "with_rows",
]

_FOOTER_KEY = b"amia"
_COLUMN_THREADS = 16
"""Shards whose columns are read at the same time."""
_READ_THREADS = 128
"""Requests at the same time. Each takes tens of milliseconds, nearly all of which is waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardMetadata:
    """Footer of a shard."""

    stage: str
    rows: int
    sha256: str
    """SHA-256 of the content of the rows, not of the file: equal rows have equal hashes, independent of the writer."""
    identity: str
    """Digest of the identity of the stage's folder."""
    counts: dict[str, int] = field(default_factory=dict)
    """Posts per status, for example `{"image=ok|synthesis=ok": 510, "image=no_image|synthesis=ok": 2}`."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Values of a single stage for its driver: a loss histogram, the range of the cosine."""


def content_sha256(table: pa.Table) -> str:
    """Return the SHA-256 of a table's rows as JSON, with bytes replaced by their own hash.

    Arrow's buffers would be faster to hash, but their content under a null is undefined.
    """
    digest = hashlib.sha256()
    for row in table.to_pylist():
        digest.update(json.dumps(row, sort_keys=True, default=lambda data: hashlib.sha256(data).hexdigest()).encode())
    return digest.hexdigest()


def encode(
    table: pa.Table,
    *,
    stage: str,
    identity: str,
    counts: Mapping[str, int] | None = None,
    extra: Mapping[str, Any] | None = None,
    schema_metadata: Mapping[bytes, bytes] | None = None,
) -> tuple[bytes, ShardMetadata]:
    """Return the Parquet bytes of a shard and its metadata. Equal tables and metadata give equal bytes."""
    metadata = ShardMetadata(
        stage=stage,
        rows=table.num_rows,
        sha256=content_sha256(table),
        identity=identity,
        counts=dict(sorted((counts or {}).items())),
        extra=dict(extra or {}),
    )
    footer = {**(schema_metadata or {}), _FOOTER_KEY: json.dumps(asdict(metadata), sort_keys=True).encode()}
    sink = pa.BufferOutputStream()
    # JPEGs do not compress. A page must hold whole images, and 512 rows stay far below the limit of int32 offsets.
    pq.write_table(
        table.replace_schema_metadata(footer),
        sink,
        compression={name: "NONE" if name == "image.bytes" else "ZSTD" for name in _leaf_names(table.schema)},
        use_dictionary=False,
    )
    return sink.getvalue().to_pybytes(), metadata


def read_shard(store: Store, key: str, columns: Sequence[str] | None = None, size: int | None = None) -> pa.Table:
    """Read a published shard, or some of its columns. `size`: size of the file if it is known.

    Raises RunError if the file is not a shard of amia: not readable as Parquet, or with Arrow extension types.
    """
    with store.open(key, size) as file:
        try:
            table = pq.read_table(file, columns=None if columns is None else list(columns))
        except (pa.ArrowException, OSError) as error:
            raise RunError(f"{key} in {store.address} is not a readable Parquet file: {error}") from error
    if any(isinstance(column.type, pa.BaseExtensionType) for column in table.schema):
        raise RunError(f"{key} in {store.address} was not written by amia: it has columns of Arrow extension types")
    return table


def read_shards(
    store: Store, keys: Sequence[str], columns: Sequence[str] | None, sizes: Mapping[str, int] | None = None
) -> list[pa.Table]:
    """Read many shards, or some of their columns, with concurrent requests, in the order of the keys.

    `sizes`: sizes of the files from a listing.
    """
    known_sizes = sizes or {}
    with ThreadPoolExecutor(_COLUMN_THREADS) as pool:
        return list(pool.map(lambda key: read_shard(store, key, columns, known_sizes.get(key)), keys))


def metadata_of(table: pa.Table) -> ShardMetadata:
    """Return the footer of a shard that was read. Raises RunError if the file is not a shard of amia."""
    try:
        return ShardMetadata(**json.loads(table.schema.metadata[_FOOTER_KEY]))
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"a file is not a shard written by amia: {error!r}") from error


def with_rows(table: pa.Table, rows: pa.Table, footer: Mapping[str, Any]) -> bytes:
    """Return a shard that was read as `table` with `rows` only, in the bytes that its stage would have published.

    `footer` holds the arguments `counts` and `extra` of `encode` for these rows.
    """
    metadata = metadata_of(table)
    others = {name: value for name, value in table.schema.metadata.items() if name != _FOOTER_KEY}
    rows = rows.cast(pa.schema([(column.name, _as_written(column.type)) for column in rows.schema])).combine_chunks()
    data, _ = encode(rows, stage=metadata.stage, identity=metadata.identity, schema_metadata=others, **footer)
    return data


def read_metadata(store: Store, key: str, size: int | None = None) -> ShardMetadata:
    """Read the footer of a published shard; nothing else is fetched. `size`: size of the file if it is known.

    Raises RunError if the file is not a shard of amia.
    """
    with store.open(key, size) as file:
        try:
            footer = pq.read_metadata(file).metadata or {}
            return ShardMetadata(**json.loads(footer[_FOOTER_KEY]))
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{key} in {store.address} is not a shard written by amia: {error!r}") from error


def read_all_metadata(store: Store, keys: Sequence[str], sizes: Mapping[str, int] | None = None) -> list[ShardMetadata]:
    """Read the footers of many shards with concurrent requests, in the order of the keys.

    `sizes`: sizes of the files from a listing; with them a shard needs one request instead of two.
    """
    known_sizes = sizes or {}
    with ThreadPoolExecutor(min(_READ_THREADS, max(1, len(keys)))) as pool:
        return list(pool.map(lambda key: read_metadata(store, key, known_sizes.get(key)), keys))


def total_counts(shards: Iterable[ShardMetadata]) -> Counter[str]:
    """Sum the counts by status over shards."""
    total: Counter[str] = Counter()
    for metadata in shards:
        total.update(metadata.counts)
    return total


def _as_written(kind: pa.DataType) -> pa.DataType:
    """Return a type as it was before Parquet renamed the elements of lists."""
    if pa.types.is_list(kind):
        return pa.list_(_as_written(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _as_written(field.type)) for field in kind])
    return kind


def _leaf_names(columns: Iterable[pa.Field], prefix: str = "") -> list[str]:
    """Return Parquet's names of the leaf columns, as the writer's options expect them."""
    names: list[str] = []
    for column in columns:
        name, kind = prefix + column.name, column.type
        if pa.types.is_list(kind):
            name, kind = f"{name}.list.element", kind.value_type
        names += _leaf_names(kind, f"{name}.") if pa.types.is_struct(kind) else [name]
    return names
