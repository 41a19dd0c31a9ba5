"""What a job knows about published shards, so that it lists no folder and reads no footer twice.

Footers come from the actors that published the shards in this job, else from the table of the folder, else from the
shards themselves, with concurrent requests. The table, `facts/<folder>/<digest>.parquet`, has one row for each shard.
The digest is that of the folder's identity and of the names and sizes of its listed shards, so a table is only found
for exactly the shards that it describes. A shard that is deleted, added or rewritten needs no invalidation: the listing
has changed, and with it the name of the table.
"""

import builtins
import hashlib
import io
import json
import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from amia.errors import RunError
from amia.utils.store_reader import ObjectInfo
from ray_jobs.storage.fingerprint import Identity, digest, read_identity
from ray_jobs.storage.layout import FACTS, shard_key
from ray_jobs.storage.plan import Plan, parse_shard_name
from ray_jobs.storage.shards import ShardMetadata, read_all_metadata
from ray_jobs.storage.store import Store

__all__ = ["ShardFacts", "pack_footers", "table_key"]

VERSION = 1
"""Raised whenever the columns of a table change."""
ROW_GROUP = 10_000
"""Rows of a table that are in memory as text at the same time."""

SCHEMA = pa.schema(
    [
        ("shard", pa.string()),
        ("stage", pa.string()),
        ("rows", pa.int64()),
        ("sha256", pa.string()),
        ("identity", pa.string()),
        ("counts", pa.string()),
        ("extra", pa.string()),
    ]
)
"""Columns of a table: the fields of `ShardMetadata`; `counts` and `extra` are JSON."""

Fields = tuple[str, int, str, str, str, str]
"""The fields of a `ShardMetadata` in order, with `counts` and `extra` as JSON."""


class _Footer(NamedTuple):
    """A footer in memory. A loss histogram takes kilobytes as text, and there may be 200,000 of them."""

    stage: str
    rows: int
    sha256: str
    identity: str
    counts: str
    compressed_extra: bytes

    @classmethod
    def of(cls, stage: str, rows: int, sha256: str, identity: str, counts: str, extra: str) -> "_Footer":
        compressed_extra = zlib.compress(extra.encode(), 1)
        return cls(sys.intern(stage), rows, sha256, sys.intern(identity), counts, compressed_extra)

    def fields(self) -> Fields:
        return (*self[:-1], zlib.decompress(self.compressed_extra).decode())

    def metadata(self) -> ShardMetadata:
        stage, rows, sha256, identity, *texts = self.fields()
        try:
            counts, extra = map(json.loads, texts)
        except ValueError as error:
            raise RunError(f"a table in {FACTS}/ for {stage} was not written by amia: {error}. Remove it") from error
        return ShardMetadata(stage=stage, rows=rows, sha256=sha256, identity=identity, counts=counts, extra=extra)


class ShardFacts:
    """Listings, identities and footers of one run, each read at most once.

    For one job: it does not notice what others delete. Pickled without what it remembers.
    """

    def __init__(self, store: Store, plan: Plan, *, publishes: bool = False) -> None:
        """`publishes`: publish the table of a folder that has none, once all footers are known."""
        self._store, self._plan, self._publishes = store, plan, publishes
        self._listings: dict[str, dict[str, ObjectInfo]] = {}
        self._identities: dict[str, Identity] = {}
        self._footers: dict[str, _Footer] = {}
        self._tables: dict[str, bool] = {}
        """Keys of tables that were looked for, and whether they exist."""
        self._settled: set[str] = set()
        """Folders whose table exists or cannot exist, as they were listed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._store, self._plan, self._publishes)

    def list(self, prefix: str) -> Mapping[str, ObjectInfo]:
        """Return the published keys below a folder, from the first listing since `forget`."""
        if prefix not in self._listings:
            self._listings[prefix] = self._store.list(prefix)
        return self._listings[prefix]

    def list_all(self, folders: Sequence[str]) -> None:
        """List the folders that are not remembered, side by side: a page of 1,000 keys can only follow another."""
        unknown = [folder for folder in folders if folder not in self._listings]
        with ThreadPoolExecutor(max(1, len(unknown))) as pool:
            self._listings |= zip(unknown, pool.map(self._store.list, unknown), strict=True)

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the keys below a folder with their sizes in bytes."""
        return {key: info.size for key, info in self.list(folder).items()}

    def remember(self, folder: str, listing: Mapping[str, ObjectInfo]) -> None:
        """Take over a listing that was made elsewhere."""
        self.forget(folder)
        self._listings[folder] = dict(listing)

    def forget(self, folder: str) -> None:
        """Forget the listing of a folder in which shards were published."""
        self._listings.pop(folder, None)
        self._settled.discard(folder)

    def identity(self, folder: str) -> Identity | None:
        """Return the identity of a folder, or None if it has none yet."""
        if folder not in self._identities and (identity := read_identity(self._store, folder)) is not None:
            self._identities[folder] = identity
        return self._identities.get(folder)

    def add(self, lines: str) -> None:
        """Add the footers of published shards, as `pack_footers` returns them."""
        for line in lines.splitlines():
            self._footers |= {key: _Footer.of(*fields) for key, fields in json.loads(line).items()}

    def metadata(self, folder: str, shards: Sequence[str]) -> Iterator[ShardMetadata]:
        """Return the footers of some shards of a folder, in their order. They are decoded one after the other.

        Raises StoreError if a shard is not published, RunError if it or the table was not written by amia.
        """
        self._read_missing(folder, shards)
        return (self._footers[shard_key(folder, shard)].metadata() for shard in shards)

    def publish(self, folder: str) -> None:
        """Publish the table of a folder, unless it exists or the folder is not complete."""
        if self.table(folder) is not None:
            self._read_missing(folder, self._published(folder))

    def table(self, folder: str) -> str | None:
        """Return the key of the table for what is listed, or None if the folder is not complete or has no identity.

        A folder is complete if each split is published entirely or not at all: predictions may be of some splits.
        """
        published = self._published(folder)
        splits = Counter(parse_shard_name(shard)[0] for shard in published)
        if not splits or any(len(self._plan.shards_of(split)) != count for split, count in splits.items()):
            return None
        if (identity := self.identity(folder)) is None:
            return None
        listing = self.list(folder)
        sizes = {shard: listing[shard_key(folder, shard)].size for shard in published}
        return table_key(folder, digest(identity), sizes)

    def _published(self, folder: str) -> builtins.list[str]:
        listing = self.list(folder)
        return [shard for shard in self._plan.shards if shard_key(folder, shard) in listing]

    def _read_missing(self, folder: str, shards: Sequence[str]) -> None:
        """Read the footers that are not known, and publish the table if all of the folder's are known then."""
        missing = self._unknown(folder, shards)
        if not missing and (folder in self._settled or not self._publishes):
            return
        if missing and any(key not in self.list(folder) for key in missing):
            self.forget(folder)  # published since the listing
        published = self._published(folder)
        key = self.table(folder)
        if missing and self._read_table(folder, key):
            missing = self._unknown(folder, shards)
        if missing:
            footers = read_all_metadata(self._store, missing, self.sizes(folder))
            self._footers |= {name: _Footer.of(*_fields(footer)) for name, footer in zip(missing, footers, strict=True)}
        if self._publishes and not self._unknown(folder, published):
            self._publish_table(folder, key, published)
            self._settled.add(folder)

    def _unknown(self, folder: str, shards: Sequence[str]) -> builtins.list[str]:
        """Return the keys of the shards whose footers are not known."""
        return [key for shard in shards if (key := shard_key(folder, shard)) not in self._footers]

    def _read_table(self, folder: str, key: str | None) -> bool:
        """Add the footers of a table. Returns False if there is none."""
        if key is None or key in self._tables:
            return False
        data = self._store.find(key)
        self._tables[key] = data is not None
        if data is None:
            return False
        try:
            file = pq.ParquetFile(io.BytesIO(data))
            if not file.schema_arrow.equals(SCHEMA):
                raise ValueError(f"other columns: {file.schema_arrow.names}")
            for batch in file.iter_batches(ROW_GROUP):
                shards, *columns = (column.to_pylist() for column in batch.columns)
                for shard, *fields in zip(shards, *columns, strict=True):
                    self._footers.setdefault(shard_key(folder, shard), _Footer.of(*fields))
        except (pa.ArrowException, OSError, AttributeError, TypeError, ValueError) as error:
            raise RunError(
                f"{key} in {self._store.address} was not written by amia: {error}. Remove it, and it is made again"
            ) from error
        return True

    def _publish_table(self, folder: str, key: str | None, published: Sequence[str]) -> None:
        if key is None or self._tables.get(key):
            return
        if key in self._tables or not self._store.exists(key):  # `create` would fetch an equal one to compare it
            self._store.create(key, self._encode_table(folder, published))
        self._tables[key] = True

    def _encode_table(self, folder: str, published: Sequence[str]) -> bytes:
        """Return the Parquet bytes of the table: equal footers give equal bytes."""
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, SCHEMA, compression="ZSTD") as writer:
            for start in range(0, len(published), ROW_GROUP):
                shards = published[start : start + ROW_GROUP]
                rows = [(shard, *self._footers[shard_key(folder, shard)].fields()) for shard in shards]
                columns = [pa.array(column) for column in zip(*rows, strict=True)]
                writer.write_table(pa.Table.from_arrays(columns, schema=SCHEMA))
        return bytes(sink.getvalue().to_pybytes())


def pack_footers(footers: Mapping[str, ShardMetadata]) -> str:
    """Return footers by key as a line of text, for `ShardFacts.add`."""
    return json.dumps({key: _fields(metadata) for key, metadata in footers.items()}) + "\n"


def table_key(folder: str, identity: str, sizes: Mapping[str, int]) -> str:
    """Return the key of the table for a folder with an identity's digest and shards with some sizes in bytes."""
    content = json.dumps([VERSION, identity, *sizes.items()])
    return f"{FACTS}/{folder}/{hashlib.sha256(content.encode()).hexdigest()[:32]}.parquet"


def _fields(metadata: ShardMetadata) -> Fields:
    counts, extra = (json.dumps(value, sort_keys=True) for value in (metadata.counts, metadata.extra))
    return metadata.stage, metadata.rows, metadata.sha256, metadata.identity, counts, extra


def _restore(store: Store, plan: Plan, publishes: bool) -> ShardFacts:
    return ShardFacts(store, plan, publishes=publishes)
