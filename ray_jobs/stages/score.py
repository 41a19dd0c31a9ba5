"""scores/: the triplet loss of every post that has an image (paper 3.2, eqs. 1-7)."""

import numpy as np
import pyarrow as pa

from amia.matching.bank import Bank
from amia.matching.histogram import LossHistogram
from amia.matching.triplet import TripletSettings, losses
from ray_jobs.stages.base import Stage
from ray_jobs.storage.embeddings import read_embeddings
from ray_jobs.storage.layout import EMBEDDINGS, SCORES, shard_key
from ray_jobs.storage.shards import ShardMetadata, encode, read_shard
from ray_jobs.storage.store import Store

__all__ = ["Score"]


class Score(Stage[pa.Table, pa.Table]):
    """Embeddings, and the bank -> loss both ways, their sum, cosine. Null where a post has no image."""

    name = SCORES
    pool = "score"
    version = 1

    def __init__(self, store: Store, identity: str, *, triplet: TripletSettings, folder: str, bank: str) -> None:
        """`folder`: where the losses go; `bank`: key of the bank of negatives."""
        super().__init__(store, identity)
        self._triplet, self._folder, self._key = triplet, folder, bank

    def keys(self, shard: str) -> list[str]:
        """In the folder of this measure."""
        return [f"{self._folder}/{shard}.parquet"]

    def setup(self) -> None:
        """Read the bank, once an actor."""
        self._bank = Bank.from_bytes(self.store.read(self._key), where=self._key)

    def load(self, shard: str) -> pa.Table:
        """The shard's embeddings."""
        return read_shard(self.store, shard_key(EMBEDDINGS, shard))

    def run(self, loaded: pa.Table) -> pa.Table:
        """Losses as float32, from float32 similarities."""
        posts, rows = read_embeddings(loaded)
        found = losses(posts, self._bank, self._triplet) if rows else None
        columns = {"id": loaded["id"]}
        for name in ("i2t", "t2i", "total", "cosine"):
            values = np.full(loaded.num_rows, np.nan, np.float32)
            if found is not None:
                values[rows] = getattr(found, name)
            known = {"i2t": "loss_i2t", "t2i": "loss_t2i", "total": "loss", "cosine": "cosine"}[name]
            columns[known] = pa.array(values, mask=np.isnan(values))
        return pa.table(columns)

    def publish(self, shard: str, done: pa.Table) -> ShardMetadata:
        """The scores; the footer holds their histogram (integer counts, so any number of shards adds up exactly)."""
        total = done["loss"].drop_null().to_numpy()
        cosine = done["cosine"].drop_null().to_numpy()
        counts = LossHistogram(self._triplet.margin).counts(total)
        filled = np.flatnonzero(counts)
        extra = {
            "histogram": {"bins": filled.tolist(), "counts": counts[filled].tolist()},
            "cosine": [float(cosine.min()), float(cosine.max())] if len(cosine) else None,
        }
        data, facts = encode(done, stage=self._folder, identity=self.identity, extra=extra)
        self.store.create(self.keys(shard)[0], data)
        return facts
