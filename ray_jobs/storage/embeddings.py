"""Shards of embeddings as arrays, and losses as columns. A separate module, so that scoring does not import torch."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from amia.matching.bank import Embeddings
from amia.matching.triplet import Losses

__all__ = ["loss_columns", "read_embeddings"]

LOSS_COLUMNS = {"i2t": "loss_i2t", "t2i": "loss_t2i", "total": "loss", "cosine": "cosine"}
"""Columns by the attribute of the losses that they hold."""


def read_embeddings(table: pa.Table) -> tuple[Embeddings, list[int]]:
    """Return the posts of an embeddings shard that have an image, and their rows in the shard."""
    rows = [row for row, vector in enumerate(table["image_vector"].to_pylist()) if vector is not None]
    if not rows:
        no_vectors, no_keys = np.empty((0, 0), "<f2"), np.empty(0, "S16")
        return Embeddings([], no_vectors, no_vectors, no_keys, no_keys), rows
    selected = table.take(pa.array(rows, pa.int64()))

    def vectors(name: str) -> np.ndarray:
        return np.stack([np.frombuffer(data, "<f2") for data in selected[name].to_pylist()])  # [n, d]

    def keys(name: str) -> np.ndarray:
        return np.array(selected[name].to_pylist(), "S16")  # [n]

    embeddings = Embeddings(
        ids=selected["id"].to_pylist(),
        texts=vectors("text_vector"),
        images=vectors("image_vector"),
        text_keys=keys("text_key"),
        image_keys=keys("image_key"),
    )
    return embeddings, rows


def loss_columns(scores: Losses | None, rows: Sequence[int], num_rows: int) -> dict[str, pa.Array]:
    """Return the losses of the posts at `rows` as float32 columns of `num_rows` values, null for all other posts."""
    columns = {}
    for attribute, column in LOSS_COLUMNS.items():
        values = np.full(num_rows, np.nan, np.float32)
        if scores is not None:
            values[rows] = getattr(scores, attribute)
        columns[column] = pa.array(values, mask=np.isnan(values))
    return columns
