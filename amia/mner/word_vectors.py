"""Pretrained word vectors from a text file: GloVe's format, or word2vec's with a first line `count width`."""

import gzip
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amia.errors import ModelError

__all__ = ["WordVectors", "read_word_vectors"]


@dataclass(frozen=True, slots=True)
class WordVectors:
    """Vectors of some of a file's words."""

    rows: dict[str, NDArray[np.float32]]
    """Word -> float32 [width]."""
    width: int

    def get(self, word: str) -> NDArray[np.float32] | None:
        """Return the word's vector, else that of its lower-cased form (GloVe for Twitter is lower-cased), or None."""
        row = self.rows.get(word)
        return self.rows.get(word.lower()) if row is None else row


def read_word_vectors(path: Path, words: Iterable[str]) -> WordVectors:
    """Read the vectors of those `words` that the file contains; of duplicates the first.

    The file is read line by line, so it may be much larger than memory; `.gz` is decompressed. The last numbers of a
    line are the vector, as many as in the first line; the rest is the word, as some of GloVe's words contain spaces.

    Raises ModelError with file and line if a line has another number of values, or a vector is not finite.
    """
    names = {word.encode("utf-8", "surrogatepass"): word for word in words}
    rows: dict[str, NDArray[np.float32]] = {}
    width = 0
    for number, line in _read_lines(path):
        if not width:
            fields = line.split(b" ")
            if number == 1 and len(fields) == 2 and fields[0].isdigit() and fields[1].isdigit():
                width = int(fields[1])
                continue
            width = _count_trailing_numbers(fields[1:])
        spaces = line.count(b" ")
        if width and spaces == width and line[: line.find(b" ")] not in names:
            continue  # fast path: most lines are not needed
        word, *values = line.rsplit(b" ", width)
        inner_fields = word.split(b" ")[1:]
        if not width or spaces < width or (inner_fields and _count_trailing_numbers(inner_fields) == len(inner_fields)):
            raise ModelError(
                f"{path} line {number}: expected a word and {width or 'its'} numbers, as text, separated by single "
                "spaces; is this a text file of GloVe or word2vec?"
            )
        if (name := names.get(word)) is not None and name not in rows:
            rows[name] = _parse_vector(values, f"{path} line {number}")
    if not width:
        raise ModelError(f"{path} contains no word vectors")
    return WordVectors(rows, width)


def _read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the non-empty lines with their numbers from 1, as bytes: words may contain Unicode line separators."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if stripped := line.rstrip(b" \r\n"):
                    yield number, stripped
    except (OSError, EOFError) as error:
        raise ModelError(f"cannot read the word vectors {path}: {error}") from error


def _count_trailing_numbers(fields: Sequence[bytes]) -> int:
    for count, field in enumerate(reversed(fields)):
        try:
            float(field)
        except ValueError:
            return count
    return len(fields)


def _parse_vector(values: Sequence[bytes], location: str) -> NDArray[np.float32]:
    try:
        numbers = [float(value) for value in values]
    except ValueError as error:
        raise ModelError(f"{location}: {error}") from None
    if not all(map(math.isfinite, numbers)):
        raise ModelError(f"{location}: the vector is not finite")
    return np.array(numbers, np.float32)
