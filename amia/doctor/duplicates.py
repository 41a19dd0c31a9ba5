"""Which values occur twice, within a split or across splits, at 12 bytes a value."""

import hashlib
from array import array
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Duplicates", "Occurrences", "fingerprint"]


def fingerprint(value: str) -> int:
    """64 bits of a hash. Two of a million different values agree with a chance of one in 37 million."""
    return int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """What occurs more than once."""

    within: dict[str, int]
    """Split -> copies beyond the first in that split; splits without any are left out."""
    across: int
    """Different values that occur in more than one split."""


class Occurrences:
    """Collects values with their splits."""

    def __init__(self) -> None:
        self._prints = array("Q")
        self._splits = array("I")
        self._names: dict[str, int] = {}

    def add(self, value: str, split: str) -> None:
        """One more occurrence."""
        self._prints.append(fingerprint(value))
        self._splits.append(self._names.setdefault(split, len(self._names)))

    def duplicates(self) -> Duplicates:
        """What occurred more than once until now."""
        prints, splits = self._sorted()
        same = prints[1:] == prints[:-1]
        same_split = same & (splits[1:] == splits[:-1])
        counts = np.bincount(splits[1:][same_split], minlength=len(self._names))
        return Duplicates(
            within={name: int(count) for name, count in zip(self._names, counts, strict=True) if count},
            across=len(np.unique(prints[1:][same & ~same_split])),
        )

    def repeated(self, at_most: int) -> set[int]:
        """Fingerprints of values that occurred more than once: the smallest few."""
        prints, _ = self._sorted()
        return {int(value) for value in np.unique(prints[1:][prints[1:] == prints[:-1]])[:at_most]}

    def _sorted(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
        prints = np.array(self._prints, dtype=np.uint64)
        splits = np.array(self._splits, dtype=np.uint32)
        order = np.lexsort((splits, prints))
        return prints[order], splits[order]
