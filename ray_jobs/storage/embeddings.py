"""An embeddings shard as arrays. Apart from the stage that writes it, so that scoring need not load torch."""

import numpy as np
import pyarrow as pa

from amia.matching.bank import Embeddings

__all__ = ["read_embeddings"]


def read_embeddings(table: pa.Table) -> tuple[Embeddings, list[int]]:
    """The posts of an embeddings shard that have an image, and which rows they are."""
    rows = [row for row, vector in enumerate(table["image_vector"].to_pylist()) if vector is not None]
    those = table.take(pa.array(rows, pa.int64()))

    def vectors(name: str) -> np.ndarray:
        return np.stack([np.frombuffer(each, "<f2") for each in those[name].to_pylist()])  # [n, d]

    def keys(name: str) -> np.ndarray:
        return np.array(those[name].to_pylist(), "S16")  # [n]

    if not rows:
        nothing = np.empty((0, 0), "<f2")
        return Embeddings([], nothing, nothing, np.empty(0, "S16"), np.empty(0, "S16")), rows
    posts = Embeddings(
        ids=those["id"].to_pylist(),
        texts=vectors("text_vector"),
        images=vectors("image_vector"),
        text_keys=keys("text_key"),
        image_keys=keys("image_key"),
    )
    return posts, rows
