"""scores/: the triplet loss of every post that has an image (paper 3.2, eqs. 1-7)."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from amia.matching.bank import Bank
from amia.matching.histogram import BINS
from amia.matching.model import triplet_identity
from amia.matching.triplet import TripletSettings, losses
from ray_jobs.stages.base import Stage
from ray_jobs.storage.embeddings import loss_columns, read_embeddings
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.footers import describe_scores
from ray_jobs.storage.layout import EMBEDDINGS, SCORES, shard_key
from ray_jobs.storage.shards import ShardMetadata, encode, read_shard
from ray_jobs.storage.store import Store

__all__ = ["Score", "histogram_counts"]


class Score(Stage[pa.Table, pa.Table]):
    """Embeddings and the bank -> the loss in both directions, their sum, and the cosine. Null without an image."""

    name = SCORES
    pool = "score"
    version = 1

    def __init__(self, store: Store, *, triplet: TripletSettings, bank_key: str, bank: str, embeddings: str) -> None:
        """`bank_key` is the key of the bank of negatives, `bank` its SHA-256, `embeddings` the digest of the input."""
        super().__init__(store)
        self._triplet, self._bank_key = triplet, bank_key
        self._inputs = {"embeddings": embeddings, "bank": bank}

    def identity(self, folder: str) -> Identity:
        """Return the settings of the loss, and the digests of embeddings and bank."""
        return {
            "stage": folder,
            "version": self.version,
            "settings": triplet_identity(self._triplet),
            "input": self._inputs,
        }

    def setup(self) -> None:
        """Read the bank."""
        self._bank = Bank.from_bytes(self.store.read(self._bank_key), where=self._bank_key)

    def load(self, shard: str) -> pa.Table:
        """Read the embeddings of the shard."""
        return read_shard(self.store, shard_key(EMBEDDINGS, shard))

    def run(self, loaded: pa.Table) -> pa.Table:
        """Compute the losses, float32, from float32 similarities."""
        posts, rows = read_embeddings(loaded)
        scores = losses(posts, self._bank, self._triplet) if rows else None
        return pa.table({"id": loaded["id"], **loss_columns(scores, rows, loaded.num_rows)})

    def publish(self, shard: str, done: pa.Table) -> ShardMetadata:
        """Publish the scores. The footer holds their histogram."""
        footer = describe_scores(done, self._triplet.margin)
        data, metadata = encode(done, stage=self.name, identity=self.digest(), **footer)
        return self.create_shard(self.keys(shard)[0], data, metadata)


def histogram_counts(shards: Iterable[ShardMetadata]) -> NDArray[np.int64]:
    """Sum the loss histograms in the footers of shards of scores, `[BINS]`."""
    counts = np.zeros(BINS, np.int64)
    for shard in shards:
        histogram = shard.extra["histogram"]
        counts[histogram["bins"]] += histogram["counts"]
    return counts
