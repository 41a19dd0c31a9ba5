"""Pretrained word vectors from a text file: GloVe's, or word2vec's with its first line `count width`."""

import gzip
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amia.errors import ModelError

__all__ = ["WordVectors", "read_vectors"]


@dataclass(frozen=True, slots=True)
class WordVectors:
    """Vectors of some of a file's words."""

    rows: dict[str, NDArray[np.float32]]
    """Float32 [width] each."""
    width: int

    def of(self, word: str) -> NDArray[np.float32] | None:
        """The word's vector, else that of its lower-cased form (GloVe's for Twitter are all lower-cased), else None."""
        row = self.rows.get(word)
        return self.rows.get(word.lower()) if row is None else row


def read_vectors(path: Path, wanted: Iterable[str]) -> WordVectors:
    """The vectors of those `wanted` words that the file has; where it has a word twice, the first.

    Line by line, so that a file may be much larger than memory; `.gz` is unpacked on the way. A line's last numbers are
    the vector, as many as the first line has, and the word is what stands before: some of GloVe's words hold spaces.

    Raises ModelError, naming file and line, when a line has more or fewer numbers, or a vector that is not finite.
    """
    names = {word.encode("utf-8", "surrogatepass"): word for word in wanted}
    rows: dict[str, NDArray[np.float32]] = {}
    width = 0
    for number, line in _lines(path):
        if not width:
            fields = line.split(b" ")
            if number == 1 and len(fields) == 2 and fields[0].isdigit() and fields[1].isdigit():
                width = int(fields[1])
                continue
            width = _numbers(fields[1:])
        spaces = line.count(b" ")
        if width and spaces == width and line[: line.find(b" ")] not in names:
            continue  # most lines, so nothing more is done with them
        word, *values = line.rsplit(b" ", width)
        between = word.split(b" ")[1:]
        if not width or spaces < width or (between and _numbers(between) == len(between)):
            raise ModelError(
                f"{path} line {number}: a word and {width or 'its'} numbers are wanted, as text and with single spaces "
                "between; is this a text file of GloVe or word2vec?"
            )
        if (name := names.get(word)) is not None and name not in rows:
            rows[name] = _row(values, f"{path} line {number}")
    if not width:
        raise ModelError(f"{path} holds no word vectors")
    return WordVectors(rows, width)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that are not empty, with their numbers from 1 on. Bytes, since words hold what text calls line ends."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if stripped := line.rstrip(b" \r\n"):
                    yield number, stripped
    except (OSError, EOFError) as error:
        raise ModelError(f"word vectors cannot be read from {path}: {error}") from error


def _numbers(fields: Sequence[bytes]) -> int:
    """How many of the last fields are numbers."""
    for count, field in enumerate(reversed(fields)):
        try:
            float(field)
        except ValueError:
            return count
    return len(fields)


def _row(values: Sequence[bytes], where: str) -> NDArray[np.float32]:
    try:
        numbers = [float(value) for value in values]
    except ValueError as error:
        raise ModelError(f"{where}: {error}") from None
    if not all(map(math.isfinite, numbers)):
        raise ModelError(f"{where}: a vector that is not finite")
    return np.array(numbers, np.float32)
