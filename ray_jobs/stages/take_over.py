"""Whatever a retried run need not make again: another run's files under its own names."""

from collections.abc import Mapping

from ray_jobs.stages.base import Stage
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import ShardMetadata
from ray_jobs.storage.store import Store

__all__ = ["TakeOver"]


class TakeOver(Stage[dict[str, str], dict[str, str]]):
    """Files of a shard, from one run to another, as they are: a link on one disk, a copy between stores."""

    name = "taken-over"
    pool = "fetch"
    version = 1

    def __init__(self, store: Store, *, old: Store, plan: Plan, names: Mapping[str, Mapping[str, str]]) -> None:
        """`names`: by shard, the key that a file gets -> the key that it has in `old`."""
        super().__init__(store, "")
        self._old, self._plan, self._names = old, plan, names

    def keys(self, shard: str) -> list[str]:
        """In every folder that is taken over."""
        return list(self._names[shard])

    def load(self, shard: str) -> dict[str, str]:
        """Nothing is held in memory: the store takes file by file."""
        return dict(self._names[shard])

    def run(self, loaded: dict[str, str]) -> dict[str, str]:
        """Nothing is done to them."""
        return loaded

    def publish(self, shard: str, done: dict[str, str]) -> ShardMetadata:
        """Take them."""
        for key, theirs in done.items():
            self.store.link_from(self._old, theirs, under=key)
        return ShardMetadata(stage=self.name, rows=self._plan.rows_of(shard), sha256="", identity="")
