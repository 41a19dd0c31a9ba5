"""Training posts streamed by Ray Data: for corpora that no worker's memory holds.

Rows of the data set are names of shards, in another order every epoch; tasks on any machine read them into rows of
posts, and each worker takes what comes. Nothing is dropped to make the workers' shares equal, as Ray Train does by
default: a step is the mean over whatever posts the workers were handed, and a worker that has run out hands in none.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray.data import Dataset, RandomSeedConfig
from ray.train import DataConfig

from amia.mner.data_collator import in_batches
from amia.mner.features import Feature, Tokenizer, encode_example
from ray_jobs.storage.arm import COLUMNS, examples_of
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store

__all__ = ["READING_CPUS", "StreamingLoader", "UnequalSplit", "stream"]

READING_CPUS = 0.5
"""CPU cores that one task takes to read shards. Workers that leave less would wait for it for ever."""
WINDOW = 20
"""Batches that are sorted by length together: memory against padding."""


def stream(store: Store, keys: Sequence[str], seed: int) -> Dataset:
    """A data set of labeled posts from the shards under `keys`, shuffled by shard in every epoch."""
    names = ray.data.from_items([{"key": key} for key in keys], override_num_blocks=len(keys))
    shuffled = names.randomize_block_order(seed=RandomSeedConfig(seed=seed, reseed_after_execution=True))
    return shuffled.map_batches(_Read(store), batch_size=1, batch_format="pyarrow", num_cpus=READING_CPUS)


class _Read:
    """Names of shards -> rows of their posts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.concat_tables(
            read_shard(self._store, key, COLUMNS).replace_schema_metadata() for key in batch["key"].to_pylist()
        )


class UnequalSplit(DataConfig):
    """Hands every post to exactly one worker, also where that gives one worker more than another."""

    def configure(self, datasets: dict[str, Dataset], world_size: int, *_: Any, **__: Any) -> list[dict[str, Any]]:
        """One iterator a data set for each worker."""
        shares: list[dict[str, Any]] = [{} for _ in range(world_size)]
        for name, dataset in datasets.items():
            for share, part in zip(shares, dataset.streaming_split(world_size, equal=False), strict=True):
                share[name] = part
        return shares


class StreamingLoader:
    """This worker's share of a stream, as `amia.mner.training.data.EpochLoader` wants it."""

    def __init__(self, source: Any, reader: Tokenizer, *, posts: int, batch: int, seed: int, workers: int) -> None:
        self._source, self._reader, self._seed = source, reader, seed
        self._share = max(1, batch // workers)
        self.steps = -(-posts // batch)
        """What it would be if all workers had equally many posts."""

    def epoch(self, number: int) -> Iterator[Sequence[Feature]]:
        """Shares of similar lengths, in a random order within each window."""
        windows = self._source.iter_batches(batch_size=self._share * WINDOW, batch_format="pyarrow", prefetch_batches=1)
        for place, table in enumerate(windows):
            items = encode_example(examples_of(table), self._reader)
            seed = int(np.random.SeedSequence([self._seed, number, place]).generate_state(1)[0])
            for places in in_batches([item.text.length for item in items], self._share, seed=seed):
                yield [items[one] for one in places]
