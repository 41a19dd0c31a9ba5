"""Loaders of training posts."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from amia.mner.data_collator import length_grouped_batches
from amia.mner.features import Feature
from amia.mner.training.distributed import DistContext

__all__ = ["EpochLoader", "InMemoryLoader"]


class EpochLoader(Protocol):
    """This worker's share of the training posts."""

    steps_per_epoch: int
    """Optimizer steps per epoch; an estimate if the posts are streamed."""

    def iter_epoch(self, epoch: int) -> Iterator[Sequence[Feature]]:
        """Yield this worker's posts of each step; some workers may have fewer steps than others."""
        ...


class InMemoryLoader:
    """Posts that every worker holds in memory. The posts of a step do not depend on the number of workers."""

    def __init__(self, features: Sequence[Feature], batch: int, seed: int, dist_context: DistContext) -> None:
        self._features, self._batch, self._seed, self._dist_context = features, batch, seed, dist_context
        self.steps_per_epoch = -(-len(features) // batch)

    def iter_epoch(self, epoch: int) -> Iterator[Sequence[Feature]]:
        """Yield batches of similar lengths, ordered by seed and epoch; each worker takes every n-th post."""
        lengths = [feature.encoded.length for feature in self._features]
        rank, world_size = self._dist_context.rank, self._dist_context.world_size
        for indices in length_grouped_batches(lengths, self._batch, seed=self._seed * 100_003 + epoch):
            yield [self._features[index] for index in indices[rank::world_size]]
