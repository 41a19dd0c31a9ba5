"""Seeded sampling of posts from a corpus of any size: one pass, with memory for the sampled posts only.

The posts with the smallest keys are kept, so the sample depends on the posts and the seed, not on the order of reading.
"""

from bisect import insort
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Generic, TypeVar

__all__ = ["DECILES", "BottomK", "DecileSample", "decile_of", "seeded_key"]

Item = TypeVar("Item")
SortKey = tuple[Any, ...]

DECILES = 10


def seeded_key(seed: int, name: str) -> int:
    """Return a pseudo-random number below 2**64 for a seed and a name, as sort key of a seeded sample."""
    digest = blake2b(name.encode("utf-8", "surrogatepass"), key=seed.to_bytes(8, "little"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def decile_of(theta: float) -> int:
    """Return the tenth of [0, 1] that contains theta, 0 to 9.

    These are tenths of the scale, not of the posts: theta is near 0 or 1 for most posts, and mixed images are between.
    """
    return min(DECILES - 1, max(0, int(theta * DECILES)))


class BottomK(Generic[Item]):
    """The `size` items with the smallest keys among all that were added; `seen` counts all of them."""

    def __init__(self, size: int) -> None:
        self.size, self.seen = size, 0
        self._kept: list[tuple[SortKey, Item]] = []

    def add(self, key: SortKey, item: Item) -> None:
        """Add one item. Keys must be unique."""
        self.seen += 1
        if self.size and (len(self._kept) < self.size or key < self._kept[-1][0]):
            insort(self._kept, (key, item), key=lambda entry: entry[0])
            del self._kept[self.size :]

    @property
    def items(self) -> list[Item]:
        """The kept items, smallest key first."""
        return [item for _, item in self._kept]


class DecileSample(Generic[Item]):
    """At most `per_decile` posts for each tenth of theta, and `num_extremes` posts at each end of each named value."""

    def __init__(self, per_decile: int, num_extremes: int, values: Sequence[str]) -> None:
        self.deciles = [BottomK[Item](per_decile) for _ in range(DECILES)]
        self.extremes = {
            f"{end} {name}": BottomK[Item](num_extremes) for name in values for end in ("lowest", "highest")
        }
        """By `lowest theta`, `highest theta`, ..."""

    def add(self, key: SortKey, theta: float, values: dict[str, float], item: Item) -> None:
        """Add one post with its sample key, theta, and the values whose extremes are kept."""
        self.deciles[decile_of(theta)].add(key, item)
        for name, value in values.items():
            self.extremes[f"lowest {name}"].add((value, *key), item)
            self.extremes[f"highest {name}"].add((-value, *key), item)
