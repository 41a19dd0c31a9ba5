"""First pass of ingest, between reading and sorting: finds the posts whose body an earlier run holds."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ray_jobs.stages.base import Stage
from ray_jobs.storage.earlier import EarlierRun, hash_range, is_known_body
from ray_jobs.storage.external_sort import IN_FLIGHT, known_file
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.hash_index import HASH_BYTES, Hashes, encode_hashes, read_hashes
from ray_jobs.storage.shards import ShardMetadata
from ray_jobs.storage.store import Store

__all__ = ["FindKnown"]


@dataclass(frozen=True, slots=True)
class _Bodies:
    """Posts of one range of body hashes."""

    number: int
    bodies: Hashes
    keys: Hashes


class FindKnown(Stage[_Bodies, Hashes]):
    """Body hashes of all parts in one range -> keys of the posts that are known. A shard is a range: `0003`."""

    name = "known"
    pool = "sort"
    version = 1

    def __init__(
        self, store: Store, *, folder: str, files: Sequence[str], ranges: int, earlier: Sequence[EarlierRun]
    ) -> None:
        """`files` are the body hashes of all parts in scratch, `folder`; `ranges` is the number of shards."""
        super().__init__(store)
        self._folder, self._files, self._ranges, self._earlier = folder, files, ranges, earlier

    def identity(self, folder: str) -> Identity:
        """Return what scratch depends on; its name is the digest of the source."""
        return {"stage": self.name, "version": self.version, "input": {"scratch": self._folder}}

    def keys(self, shard: str) -> list[str]:
        """Return the key of the file of the range."""
        return [known_file(self._folder, int(shard))]

    def load(self, shard: str) -> _Bodies:
        """Fetch the range from all parts."""
        low, high = hash_range(int(shard), self._ranges)
        with ThreadPoolExecutor(IN_FLIGHT, "fetch") as pool:
            parts = list(
                pool.map(lambda file: read_hashes(self.store, file, low, high, width=2 * HASH_BYTES), self._files)
            )
        return _Bodies(
            int(shard), np.concatenate([bodies for bodies, _ in parts]), np.concatenate([keys for _, keys in parts])
        )

    def run(self, loaded: _Bodies) -> Hashes:
        """Look the range up in the earlier runs."""
        low, high = hash_range(loaded.number, self._ranges)
        return loaded.keys[is_known_body(self._earlier, loaded.bodies, low, high)]

    def publish(self, shard: str, done: Hashes) -> ShardMetadata:
        """Publish the keys of the known posts."""
        self.store.create(self.keys(shard)[0], encode_hashes(done))
        return ShardMetadata(stage=self.name, rows=len(done), sha256="", identity="")
