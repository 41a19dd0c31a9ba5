"""Control arms: does it matter what the image shows, and who decides how much of it stays?

A gain of augmented images may come from images of any kind, or from blending by any number. Each control keeps a rule
and exchanges one thing in it; the paper has none of them.

| arm | rule of | instead of | stands |
|---|---|---|---|
| random | original | the post's image | another post's |
| noise | original | the post's image | Gaussian noise |
| constant | adaptive | theta | its mean over the posts that the mixture was fitted on |
| shuffled | adaptive | theta | another post's |
| adaptive-batch, adaptive-expected | adaptive | theta | theta from those negatives, whatever the run's own are |

Posts change places within a shard: some hundred posts of one split, put together by a hash.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["noise_image", "shuffle_thetas"]

_MEAN, _DEVIATION = 127.5, 64.0
"""Gray levels, roughly those of photographs, so that a backbone is not shown black or white."""


def noise_image(size: int, seed: int) -> NDArray[np.uint8]:
    """Gaussian noise uint8 [size, size, 3] around mid-gray, each channel by itself; the same pixels for a seed."""
    drawn = np.random.default_rng(seed).normal(_MEAN, _DEVIATION, (size, size, 3))
    return np.rint(np.clip(drawn, 0, 255)).astype(np.uint8)


def shuffle_thetas(ids: Sequence[str], values: Sequence[float], seed: int) -> list[float]:
    """The same values in another order, which hashes of `seed` and `ids` decide: the same on every machine.

    Each post gets that of the next post on a circle in the order of the hashes, so nobody keeps its own but a post
    that is alone.
    """
    circle = sorted(range(len(ids)), key=lambda place: hashlib.sha256(f"{seed}\x1f{ids[place]}".encode()).digest())
    given = list(values)
    for place, following in zip(circle, [*circle[1:], *circle[:1]], strict=True):
        given[place] = values[following]
    return given
