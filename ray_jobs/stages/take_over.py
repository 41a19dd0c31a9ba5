"""Files that a retried run takes over from the previous run instead of making them again."""

from collections.abc import Mapping

from ray_jobs.stages.base import Stage
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import ShardMetadata
from ray_jobs.storage.store import Store

__all__ = ["TakeOver"]


class TakeOver(Stage[dict[str, str], dict[str, str]]):
    """Unchanged files of a shard, from one run to another: links on one disk, copies between stores."""

    name = "taken-over"
    pool = "fetch"
    version = 1

    def __init__(self, store: Store, *, old: Store, plan: Plan, names: Mapping[str, Mapping[str, str]]) -> None:
        """`names` maps, by shard, the key of each new file to its key in `old`."""
        super().__init__(store)
        self._old, self._plan, self._names = old, plan, names

    def folders(self) -> list[str]:
        """Return no folder: the identities are taken over with the files."""
        return []

    def identity(self, folder: str) -> Identity:
        """Return an empty identity, which is never written."""
        return {}

    def keys(self, shard: str) -> list[str]:
        """Return the new keys of the shard's files."""
        return list(self._names[shard])

    def load(self, shard: str) -> dict[str, str]:
        """Return the keys: the store transfers the files without loading them here."""
        return dict(self._names[shard])

    def run(self, loaded: dict[str, str]) -> dict[str, str]:
        """Return the keys."""
        return loaded

    def publish(self, shard: str, done: dict[str, str]) -> ShardMetadata:
        """Link or copy the files."""
        for key, old_key in done.items():
            self.store.link_from(self._old, old_key, under=key)
        return ShardMetadata(stage=self.name, rows=self._plan.rows_of(shard), sha256="", identity="")
