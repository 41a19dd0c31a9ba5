"""Where the posts of an epoch come from."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from amia.mner.data_collator import in_batches
from amia.mner.features import Feature
from amia.mner.training.distributed import DistContext

__all__ = ["EpochLoader", "InMemoryLoader"]


class EpochLoader(Protocol):
    """Training posts, this worker's share."""

    steps: int
    """Optimizer steps an epoch; a feed that streams may know it roughly only."""

    def epoch(self, number: int) -> Iterator[Sequence[Feature]]:
        """This worker's posts of each step; with several workers some may have fewer steps than others."""
        ...


class InMemoryLoader:
    """Posts that every worker holds: the same posts make a step, however many workers share it."""

    def __init__(self, items: Sequence[Feature], batch: int, seed: int, world: DistContext) -> None:
        self._items, self._batch, self._seed, self._world = items, batch, seed, world
        self.steps = -(-len(items) // batch)

    def epoch(self, number: int) -> Iterator[Sequence[Feature]]:
        """Batches of similar lengths in an order that seed and epoch decide; each worker takes every n-th post."""
        lengths = [item.text.length for item in self._items]
        for places in in_batches(lengths, self._batch, seed=self._seed * 100_003 + number):
            yield [self._items[place] for place in places[self._world.rank :: self._world.size]]
