"""First pass of ingest, part 2: sorts a bucket of scratch into the order of the plan."""

import json

from ray_jobs.stages.base import Stage
from ray_jobs.storage.earlier import bodies_index_file, changed_ids_file, keys_index_file
from ray_jobs.storage.external_sort import Earlier, SortedBucket, order_file, sort_bucket
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.hash_index import encode_hashes
from ray_jobs.storage.layout import QUARANTINE
from ray_jobs.storage.shards import ShardMetadata
from ray_jobs.storage.split_files import rejected_lines, to_ipc
from ray_jobs.storage.store import Store

__all__ = ["SortBucket", "sorted_file"]


class SortBucket(Stage[SortedBucket, SortedBucket]):
    """Sort keys of all splits in one bucket -> order and hashes of its posts. A shard is a bucket: `0003`."""

    name = "sort"
    pool = "sort"
    version = 2

    def __init__(self, store: Store, *, folder: str, index: str, earlier: Earlier | None) -> None:
        """`folder` is the scratch of this source, which its name identifies, `index` the folder of the hashes."""
        super().__init__(store)
        self._folder, self._index, self._earlier = folder, index, earlier

    def identity(self, folder: str) -> Identity:
        """Return what scratch depends on; its name is the digest of the source."""
        return {"stage": self.name, "version": self.version, "input": {"scratch": self._folder}}

    def keys(self, shard: str) -> list[str]:
        """Return the key of the bucket's counts and hashes, which are published last."""
        return [sorted_file(self._folder, shard)]

    def load(self, shard: str) -> SortedBucket:
        """Fetch the keys of the bucket and sort them."""
        return sort_bucket(self.store, self._folder, int(shard), self._earlier)

    def run(self, loaded: SortedBucket) -> SortedBucket:
        """Return the sorted bucket: `load` is all the work, and overlaps with `publish` of the previous bucket."""
        return loaded

    def publish(self, shard: str, done: SortedBucket) -> ShardMetadata:
        """Publish the orders, the hashes, the duplicates and the changed posts, then the counts."""
        for split, order in done.orders.items():
            self.store.create(order_file(self._folder, int(shard), split), to_ipc(order))
        takes_changed = self._earlier is not None and self._earlier.take_changed
        for name, rejected in (("duplicates", done.duplicates), ("changed", [] if takes_changed else done.changed)):
            if rejected:
                self.store.create(f"{self._folder}/{QUARANTINE}/{name}-{shard}.jsonl", rejected_lines(rejected))
        if takes_changed and done.changed:
            ids = "".join(f"{row.id}\n" for row in done.changed)
            self.store.create(changed_ids_file(self._index, int(shard)), ids.encode())
        if sum(done.counts.values()):
            hashes = done.hashes
            self.store.create(keys_index_file(self._index, int(shard)), encode_hashes(hashes["key"], hashes["content"]))
            self.store.create(bodies_index_file(self._index, int(shard)), encode_hashes(hashes["body"]))
        summary = {
            "counts": done.counts,
            "leaves": done.leaves,
            "duplicates": len(done.duplicates),
            "known": done.known,
            "changed": len(done.changed),
        }
        self.store.create(self.keys(shard)[0], json.dumps(summary, sort_keys=True).encode())
        return ShardMetadata(stage=self.name, rows=sum(done.counts.values()), sha256="", identity="")


def sorted_file(folder: str, bucket: str) -> str:
    """Return the key of counts and hashes of a sorted bucket."""
    return f"{folder}/sorted/{bucket}.json"
