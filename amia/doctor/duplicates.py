"""Find values that occur more than once, within a split or across splits, with 12 bytes of memory a value."""

import hashlib
from array import array
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Duplicates", "Occurrences", "hash_value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """Counts of values that occur more than once."""

    within: dict[str, int]
    """Split -> copies beyond the first in that split. Splits without copies are omitted."""
    across: int
    """Distinct values that occur in more than one split."""


class Occurrences:
    """Collects hashes of values with their splits."""

    def __init__(self) -> None:
        self._hashes = array("Q")
        self._splits = array("I")
        self._split_numbers: dict[str, int] = {}

    def add(self, value: str, split: str) -> None:
        """Add one occurrence of `value` in `split`."""
        self._hashes.append(hash_value(value))
        self._splits.append(self._split_numbers.setdefault(split, len(self._split_numbers)))

    def duplicates(self) -> Duplicates:
        """Count the values added so far that occur more than once."""
        hashes, splits = self._sorted()
        equal = hashes[1:] == hashes[:-1]
        equal_in_split = equal & (splits[1:] == splits[:-1])
        counts = np.bincount(splits[1:][equal_in_split], minlength=len(self._split_numbers))
        return Duplicates(
            within={name: int(count) for name, count in zip(self._split_numbers, counts, strict=True) if count},
            across=len(np.unique(hashes[1:][equal & ~equal_in_split])),
        )

    def repeated(self, limit: int) -> set[int]:
        """Return the hashes of values that occur more than once, at most the `limit` smallest ones."""
        hashes, _ = self._sorted()
        return {int(value) for value in np.unique(hashes[1:][hashes[1:] == hashes[:-1]])[:limit]}

    def _sorted(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
        hashes = np.array(self._hashes, dtype=np.uint64)
        splits = np.array(self._splits, dtype=np.uint32)
        order = np.lexsort((splits, hashes))
        return hashes[order], splits[order]


def hash_value(value: str) -> int:
    """Return a hash of 64 bits. A collision among a million distinct values has a chance of one in 37 million."""
    return int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest())
