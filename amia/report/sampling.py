"""Which posts of a corpus of any size are shown: seeded, one pass, memory for what is kept alone.

Of posts in any order the ones with the smallest keys are kept, so that the choice depends on the posts and the seed,
never on who read which shard first.
"""

from bisect import insort
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Generic, TypeVar

__all__ = ["DECILES", "BottomK", "DecileSample", "decile_of", "keyed"]

Item = TypeVar("Item")
Key = tuple[Any, ...]

DECILES = 10


def keyed(seed: int, name: str) -> int:
    """A number below 2**64 that a seed and a name always give: the order of a seeded sample."""
    digest = blake2b(name.encode("utf-8", "surrogatepass"), key=seed.to_bytes(8, "little"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def decile_of(theta: float) -> int:
    """Which tenth of [0, 1] theta lies in: 0 to 9; a theta of exactly 1 in the last.

    Tenths of the scale and not of the posts: theta of most posts is near 0 or 1, and those between are the blends.
    """
    return min(DECILES - 1, max(0, int(theta * DECILES)))


class BottomK(Generic[Item]):
    """The `size` items with the smallest keys of all that were offered; `seen` counts them all."""

    def __init__(self, size: int) -> None:
        self.size, self.seen = size, 0
        self._kept: list[tuple[Key, Item]] = []

    def offer(self, key: Key, item: Item) -> None:
        """One item. Keys are unlike each other: the post's id is part of them."""
        self.seen += 1
        if self.size and (len(self._kept) < self.size or key < self._kept[-1][0]):
            insort(self._kept, (key, item), key=lambda each: each[0])
            del self._kept[self.size :]

    @property
    def items(self) -> list[Item]:
        """What was kept, smallest key first."""
        return [item for _, item in self._kept]


class DecileSample(Generic[Item]):
    """At most `each` posts of every tenth of theta, and the `extremes` posts at both ends of every named value."""

    def __init__(self, each: int, extremes: int, values: Sequence[str]) -> None:
        self.deciles = [BottomK[Item](each) for _ in range(DECILES)]
        self.extremes = {f"{end} {name}": BottomK[Item](extremes) for name in values for end in ("lowest", "highest")}
        """By `lowest theta`, `highest theta`, ..."""

    def offer(self, key: Key, theta: float, values: dict[str, float], item: Item) -> None:
        """One post: the key that orders the sample, theta, and the values whose extremes are asked for."""
        self.deciles[decile_of(theta)].offer(key, item)
        for name, value in values.items():
            self.extremes[f"lowest {name}"].offer((value, *key), item)
            self.extremes[f"highest {name}"].offer((-value, *key), item)
