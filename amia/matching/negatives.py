"""Which posts may not be a post's negative: itself, an equal text, an equal image."""

import numpy as np
from numpy.typing import NDArray

from amia.matching.bank import Embedded

__all__ = ["excluded_pairs", "filler_rows"]


def excluded_pairs(posts: Embedded, others: Embedded) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns `[p]` of the matrix `[len(posts), len(others)]` where the two are no negatives of each other.

    Each pair once, ordered by row.
    """
    ids, text_keys, image_keys = others.places
    mine = zip(posts.ids, posts.text_keys.tolist(), posts.image_keys.tolist(), strict=True)
    pairs = [
        (row, column)
        for row, (post_id, text_key, image_key) in enumerate(mine)
        for column in {*ids.get(post_id, ()), *text_keys.get(text_key, ()), *image_keys.get(image_key, ())}
    ]
    table = np.array(pairs, np.intp).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def filler_rows(posts: Embedded, others: Embedded, count: int) -> NDArray[np.intp]:
    """The first `count` (or as many as there are) rows of `others` that equal none of `posts`."""
    _, columns = excluded_pairs(posts, others)
    free = np.ones(len(others), bool)
    free[columns] = False
    return np.flatnonzero(free)[:count]
