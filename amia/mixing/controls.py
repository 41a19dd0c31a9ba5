"""Control arms: does the content of the image matter, and does it matter which posts keep how much of it?

A gain from augmented images may come from images of any kind, or from blending with any ratio. Each control follows
the rule of another arm with one input exchanged. The paper has no controls.

| arm | rule of | replaced | by |
|---|---|---|---|
| random | original | the post's image | the image of another post |
| noise | original | the post's image | Gaussian noise |
| constant | adaptive | theta | mean theta of the posts that the mixture was fitted on |
| shuffled | adaptive | theta | theta of another post |
| two-sided-shuffled | two-sided | theta_V | theta_V of another post with both images |

Posts are exchanged within a shard: several hundred posts of one split, grouped by a hash.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["noise_image", "shuffle_thetas"]

_MEAN, _STD = 127.5, 64.0
"""Gray levels, roughly those of photographs, so that a backbone does not see a black or white image."""


def noise_image(size: int, seed: int) -> NDArray[np.uint8]:
    """Return Gaussian noise uint8 [size, size, 3] around mid-gray, independent per channel, reproducible by seed."""
    noise = np.random.default_rng(seed).normal(_MEAN, _STD, (size, size, 3))
    return np.rint(np.clip(noise, 0, 255)).astype(np.uint8)


def shuffle_thetas(ids: Sequence[str], values: Sequence[float], seed: int) -> list[float]:
    """Return the values in another order, determined by hashes of `seed` and `ids` and equal on every machine.

    The hashes arrange the posts in a circle, and each post gets the value of the next. So no post keeps its value
    unless there is only one.
    """
    circle = sorted(range(len(ids)), key=lambda index: hashlib.sha256(f"{seed}\x1f{ids[index]}".encode()).digest())
    shuffled = list(values)
    for index, following in zip(circle, [*circle[1:], *circle[:1]], strict=True):
        shuffled[index] = values[following]
    return shuffled
