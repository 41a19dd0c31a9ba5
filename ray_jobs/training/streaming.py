"""Training posts streamed by Ray Data, for corpora that do not fit into a worker's memory.

Rows of the data set are names of shards, in another order in every epoch. Tasks on any machine read them into rows of
posts, and the workers consume the rows as they arrive. By default Ray Train drops rows to give all workers equal
shares; here every post is used. A step is the mean over all posts that the workers received, and a worker without
further posts contributes none.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray.data import Dataset, RandomSeedConfig
from ray.train import DataConfig

from amia.mner.data_collator import length_grouped_batches
from amia.mner.features import Feature, Tokenizer, encode_examples
from ray_jobs.storage.arm import COLUMNS, examples_of
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store

__all__ = ["READ_TASK_CPUS", "StreamingLoader", "UnequalSplit", "stream_posts"]

READ_TASK_CPUS = 0.5
"""CPU cores of one task that reads shards. Workers must leave at least this free, or they wait forever."""
WINDOW = 20
"""Number of batches that are sorted by length together: a trade-off of memory against padding."""


def stream_posts(store: Store, keys: Sequence[str], seed: int) -> Dataset:
    """Return a data set of the labeled posts in the shards `keys`, with the shards shuffled in every epoch."""
    names = ray.data.from_items([{"key": key} for key in keys], override_num_blocks=len(keys))
    shuffled = names.randomize_block_order(seed=RandomSeedConfig(seed=seed, reseed_after_execution=True))
    return shuffled.map_batches(_ReadShards(store), batch_size=1, batch_format="pyarrow", num_cpus=READ_TASK_CPUS)


class _ReadShards:
    """Map names of shards to the rows of their posts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.concat_tables(
            read_shard(self._store, key, COLUMNS).replace_schema_metadata() for key in batch["key"].to_pylist()
        )


class UnequalSplit(DataConfig):
    """Split data sets so that every post reaches exactly one worker. The shares may differ in size."""

    def configure(self, datasets: dict[str, Dataset], world_size: int, *_: Any, **__: Any) -> list[dict[str, Any]]:
        """Return, for each worker, one iterator per data set."""
        shares: list[dict[str, Any]] = [{} for _ in range(world_size)]
        for name, dataset in datasets.items():
            for share, iterator in zip(shares, dataset.streaming_split(world_size, equal=False), strict=True):
                share[name] = iterator
        return shares


class StreamingLoader:
    """One worker's share of a stream; implements `amia.mner.training.data.EpochLoader`."""

    def __init__(self, stream: Any, tokenizer: Tokenizer, *, posts: int, batch: int, seed: int, workers: int) -> None:
        """`posts`: size of the training split. `batch`: posts per step of all `workers` together."""
        self._stream, self._tokenizer, self._seed = stream, tokenizer, seed
        self._batch_size = max(1, batch // workers)
        self.steps_per_epoch = -(-posts // batch)
        """Steps per epoch if all workers receive equally many posts."""

    def iter_epoch(self, epoch: int) -> Iterator[Sequence[Feature]]:
        """Yield this worker's batches of similar lengths, in a random order within each window."""
        windows = self._stream.iter_batches(
            batch_size=self._batch_size * WINDOW, batch_format="pyarrow", prefetch_batches=1
        )
        for window, table in enumerate(windows):
            features = encode_examples(examples_of(table), self._tokenizer)
            seed = int(np.random.SeedSequence([self._seed, epoch, window]).generate_state(1)[0])
            lengths = [feature.encoded.length for feature in features]
            for indices in length_grouped_batches(lengths, self._batch_size, seed=seed):
                yield [features[index] for index in indices]
