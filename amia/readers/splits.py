"""Cutting of a corpus into splits, which processes read independently of each other.

A split is a list of pieces: small files are read together, and a large file is cut where its format allows it. Parquet
is cut between row groups, JSON lines without compression between lines. Archives, compressed text, CoNLL files and
saved data sets are whole files. The posts and their order do not depend on the cuts: the pieces in their order are the
corpus.

A piece of JSON lines numbers its lines from 1, since it does not know how many come before it. `with_line_offset` turns
such a location into that of the whole file.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from amia.errors import CorpusError
from amia.posts import RawPost, Rejected
from amia.readers.corpus import Corpus
from amia.readers.image_folder import ImageFolder
from amia.readers.jsonl import read_jsonl
from amia.readers.parquet import read_parquet
from amia.readers.safety.arrow_streams import check_parquet_footer
from amia.readers.safety.decompress import is_compressed
from amia.readers.safety.json_lines import Span
from amia.readers.source import SourceFile

__all__ = ["Piece", "Split", "cut", "read_split", "with_line_offset"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, or a part of one: `[start, stop)` are bytes of JSON lines, or row groups of Parquet."""

    file: SourceFile
    size: int
    """Bytes of the file when the corpus was cut."""
    version: int | str
    """Version of the file when the corpus was cut."""
    start: int = 0
    stop: int | None = None
    """None: the whole file."""
    first_row: int = 0
    """Number of the first row in the file (Parquet)."""


@dataclass(frozen=True, slots=True)
class Split:
    """Pieces that one process reads in order. Without pieces, it is a whole data set of the hub."""

    pieces: tuple[Piece, ...]


def cut(corpus: Corpus, split_bytes: int) -> list[Split]:
    """Cut a corpus into splits of about `split_bytes` bytes, in the order of the corpus.

    Raises CorpusError if a file that is to be cut cannot be read.
    """
    if not corpus.files:
        return [Split(())]
    splits: list[Split] = []
    pieces: list[Piece] = []
    pieces_bytes = 0
    for file in corpus.files:
        whole = Piece(file, file.size, file.version)
        parts = _cut_file(whole, corpus.kind, split_bytes) if whole.size > split_bytes else [whole]
        if pieces and (len(parts) > 1 or pieces_bytes + whole.size > split_bytes):
            splits.append(Split(tuple(pieces)))
            pieces, pieces_bytes = [], 0
        if len(parts) > 1:
            splits += [Split((part,)) for part in parts]
        else:
            pieces += parts
            pieces_bytes += whole.size
    return [*splits, Split(tuple(pieces))] if pieces else splits


def read_split(corpus: Corpus, split: Split, images: ImageFolder, span: Span) -> Iterator[RawPost | Rejected]:
    """Yield the posts of a split, in order. `images` are those of a CoNLL corpus, else empty.

    The lines of a piece of JSON lines are counted in `span`.

    Raises CorpusError if a file cannot be read, or if it is no longer the file that was cut.
    """
    if not split.pieces:
        yield from corpus
    for piece in split.pieces:
        try:
            _check_unchanged(piece)
            yield from _read_piece(corpus, piece, images, span)
            _check_unchanged(piece)
        except OSError as error:
            raise CorpusError(f"{piece.file}: {error.strerror or error}") from error


def with_line_offset(location: str, offset: int) -> str:
    """Return the location in the whole file of a line of a piece: (`posts.jsonl:7`, 100) -> `posts.jsonl:107`."""
    name, colon, line = location.rpartition(":")
    return f"{name}{colon}{int(line) + offset}" if offset else location


def _cut_file(whole: Piece, kind: str, split_bytes: int) -> list[Piece]:
    file = whole.file
    if kind == "jsonl" and not is_compressed(file):
        count = -(-whole.size // split_bytes)
        bounds = [whole.size * number // count for number in range(count + 1)]
        return [Piece(file, whole.size, whole.version, start, stop) for start, stop in itertools.pairwise(bounds)]
    if kind == "parquet":
        return _cut_parquet(whole, split_bytes)
    return [whole]


def _cut_parquet(whole: Piece, split_bytes: int) -> list[Piece]:
    file = whole.file
    check_parquet_footer(file)
    try:
        with file.open_ranges() as stream:
            metadata = pq.read_metadata(stream)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorpusError(f"{file}: {error}") from error
    pieces: list[Piece] = []
    start = first_row = num_rows = num_bytes = 0
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        num_rows += row_group.num_rows
        # `total_byte_size` is the decompressed size, which is that of the posts in memory.
        num_bytes += row_group.total_byte_size
        if num_bytes >= split_bytes or group == metadata.num_row_groups - 1:
            pieces.append(Piece(file, whole.size, whole.version, start, group + 1, first_row))
            start, first_row, num_rows, num_bytes = group + 1, first_row + num_rows, 0, 0
    return pieces or [whole]


def _read_piece(corpus: Corpus, piece: Piece, images: ImageFolder, span: Span) -> Iterator[RawPost | Rejected]:
    if piece.stop is None:
        return corpus.read_file(piece.file, images)
    split = corpus.split_of(piece.file)
    if corpus.kind == "jsonl":
        span.start, span.stop = piece.start, piece.stop
        return read_jsonl(piece.file, split, span)
    return read_parquet(piece.file, split, range(piece.start, piece.stop), piece.first_row)


def _check_unchanged(piece: Piece) -> None:
    if (piece.file.size, piece.file.version) != (piece.size, piece.version):
        raise CorpusError(
            f"{piece.file} was changed while it was being read: start the same command again once nobody writes to it"
        )
