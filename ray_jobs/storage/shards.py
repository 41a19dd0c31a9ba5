"""A shard: some rows of one split as one Parquet file, with what the driver needs of it in the footer.

The footer (`ShardMetadata`) carries the row count, the counts per status, the loss histogram where there is one, and a
SHA-256 of the rows' content, so that nobody has to read a shard's pixels to account for it.
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
    "halved",
    "read_all_metadata",
    "read_metadata",
    "read_shard",
    "total_counts",
]

_FOOTER = b"amia"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardMetadata:
    """What the footer of a shard says of it."""

    stage: str
    rows: int
    sha256: str
    """Of the rows' content, not of the file: equal rows, equal hash, whatever wrote them."""
    identity: str
    """Digest of the identity of the stage's folder."""
    counts: dict[str, int] = field(default_factory=dict)
    """Posts per status, for example `{"image=ok|synthesis=ok": 510, "image=no_image|synthesis=ok": 2}`."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What one stage alone leaves for the driver: a loss histogram, the range of the cosine."""


def content_sha256(table: pa.Table) -> str:
    """SHA-256 of a table's rows as JSON, bytes replaced by their own hash.

    Arrow's buffers would be quicker to hash, but what lies under a null in them is anybody's.
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
    """The Parquet bytes of a shard and its facts. Equal tables and facts give equal bytes."""
    told = ShardMetadata(
        stage=stage,
        rows=table.num_rows,
        sha256=content_sha256(table),
        identity=identity,
        counts=dict(sorted((counts or {}).items())),
        extra=dict(extra or {}),
    )
    metadata = {**(schema_metadata or {}), _FOOTER: json.dumps(asdict(told), sort_keys=True).encode()}
    sink = pa.BufferOutputStream()
    # JPEGs do not compress; a page must hold whole images, and the reader's int32 offsets stay far away at 512 rows.
    pq.write_table(
        table.replace_schema_metadata(metadata),
        sink,
        compression={name: "NONE" if name == "image.bytes" else "ZSTD" for name in _leaf_names(table.schema)},
        use_dictionary=False,
    )
    return sink.getvalue().to_pybytes(), told


def halved(count: int) -> dict[str, int]:
    """For `extra`: so many of the shard's posts went through in smaller micro-batches, since memory ran out.

    Nothing where none did, so that whatever memory there was, the footers of undisturbed shards are equal.
    """
    return {"halved": count} if count else {}


def eager(parts: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """For `extra`: parts of the model that ran uncompiled though they were to be compiled, and why; likewise."""
    return {"eager": dict(parts)} if parts else {}


def read_shard(store: Store, key: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A published shard, or some of its columns.

    Raises RunError when the file is no shard of ours (another writer's, or with Arrow extension types).
    """
    with store.open(key) as file:
        try:
            table = pq.read_table(file, columns=None if columns is None else list(columns))
        except (pa.ArrowException, OSError) as error:
            raise RunError(f"{key} in {store.address} is no readable Parquet file: {error}") from error
    if any(isinstance(each.type, pa.BaseExtensionType) for each in table.schema):
        raise RunError(f"{key} in {store.address} holds Arrow extension types, which amia never writes: not ours")
    return table


def read_metadata(store: Store, key: str, size: int | None = None) -> ShardMetadata:
    """What a published shard's footer says; only the footer is fetched. `size`: of the file, where it is known."""
    with store.open(key, size) as file:
        try:
            metadata = pq.read_metadata(file).metadata or {}
            return ShardMetadata(**json.loads(metadata[_FOOTER]))
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{key} in {store.address} is no shard that amia wrote: {error!r}") from error


def read_all_metadata(store: Store, keys: Sequence[str], sizes: Mapping[str, int] | None = None) -> list[ShardMetadata]:
    """The facts of many shards, in the order of the keys, with some requests in flight at once.

    `sizes`: of the files, from a listing; one request a shard instead of two.
    """
    known = sizes or {}
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda key: read_metadata(store, key, known.get(key)), keys))


def total_counts(many: Sequence[ShardMetadata]) -> Counter[str]:
    """Counts per status over many shards."""
    total: Counter[str] = Counter()
    for each in many:
        total.update(each.counts)
    return total


def _leaf_names(columns: Iterable[pa.Field], prefix: str = "") -> list[str]:
    """Parquet's names of the leaf columns, as its writer options want them."""
    names: list[str] = []
    for each in columns:
        name, kind = prefix + each.name, each.type
        if pa.types.is_list(kind):
            name, kind = f"{name}.list.element", kind.value_type
        names += _leaf_names(kind, f"{name}.") if pa.types.is_struct(kind) else [name]
    return names
