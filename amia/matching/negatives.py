"""Which posts may not be a post's negative: itself, an equal text, an equal image."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from amia.matching.bank import Embedded

__all__ = ["excluded_pairs", "filler_rows"]


def excluded_pairs(posts: Embedded, others: Embedded) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns `[p]` of the matrix `[len(posts), len(others)]` where the two are no negatives of each other.

    Each pair once, ordered by row.
    """
    pairs = {
        (row, column)
        for mine, theirs in _key_columns(posts, others)
        for places in [_places(theirs)]
        for row, key in enumerate(mine)
        for column in places.get(key, ())
    }
    table = np.array(sorted(pairs), np.intp).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def filler_rows(posts: Embedded, others: Embedded, count: int) -> NDArray[np.intp]:
    """The first `count` (or as many as there are) rows of `others` that equal none of `posts`."""
    _, columns = excluded_pairs(posts, others)
    free = np.ones(len(others), bool)
    free[columns] = False
    return np.flatnonzero(free)[:count]


def _key_columns(posts: Embedded, others: Embedded) -> list[tuple[Sequence[str | bytes], Sequence[str | bytes]]]:
    return [
        (posts.ids, others.ids),
        (posts.text_keys.tolist(), others.text_keys.tolist()),
        (posts.image_keys.tolist(), others.image_keys.tolist()),
    ]


def _places(keys: Sequence[str | bytes]) -> dict[str | bytes, list[int]]:
    places: dict[str | bytes, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        places[key].append(place)
    return places
