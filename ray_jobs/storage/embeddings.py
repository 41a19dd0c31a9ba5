"""Embeddings shards as arrays. A separate module, so that scoring does not import torch."""

import numpy as np
import pyarrow as pa

from amia.matching.bank import Embeddings

__all__ = ["read_embeddings"]


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
