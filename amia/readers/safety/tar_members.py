"""The members of a tar archive, in one pass.

Python's `tarfile` reads the headers of names and sizes whole, by recursion and with regular expressions, and trusts
what they say: archives of a few kilobytes make it take gigabytes, minutes, or end in errors of many kinds. A corpus
needs plain files and their names only, and those are little to read.
"""

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from amia.errors import CorpusError

__all__ = ["Member", "read_members"]

LONGEST_HEADER = 1 << 16
"""Bytes of a header of names and attributes; a path is 4,096 at most."""
BLOCK = 512
_PIECE = 1 << 20

_OPENERS: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
"""How a file of each compression begins."""

_FILES, _FOLDER, _SPARSE = (b"0", b"\0", b"7"), b"5", b"S"
_WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")
_ATTRIBUTES, _OF_ALL, _LONG_NAME, _LONG_LINK = (b"x", b"X"), b"g", b"L", b"K"


@dataclass(slots=True)
class Member:
    """One member. Its content can be read until the next is asked for."""

    name: str
    """As it stands there, never to be used as a path; bytes that are not UTF-8 are surrogates."""
    kind: Literal["file", "folder", "other"]
    """other: a link, a device, a sparse file."""
    size: int
    _archive: BinaryIO
    _left: int

    def read(self, limit: int) -> bytes:
        """At most `limit` bytes of what is left of it."""
        data = _exactly(self._archive, min(limit, self._left))
        self._left -= len(data)
        return data

    def skip(self) -> None:
        """What is left, and what fills its last block."""
        rest = self._left + -self.size % BLOCK
        while rest > 0:
            rest -= len(_exactly(self._archive, min(rest, _PIECE)))
        self._left = 0


def read_members(file: Path) -> Iterator[Member]:
    """Every member of an archive (plain, gzip, bzip2, xz), in order. Raises CorpusError, EOFError and what the
    decompressors raise where it is damaged or cut off."""
    with file.open("rb") as stream:
        beginning = stream.read(6)
    opener = next((each for magic, each in _OPENERS.items() if beginning.startswith(magic)), None)
    with cast(BinaryIO, file.open("rb") if opener is None else opener(file)) as archive:
        while (member := _next(archive)) is not None:
            yield member
            member.skip()


def _next(archive: BinaryIO) -> Member | None:
    """The next member, its headers read; None at the mark that ends an archive."""
    name: str | None = None
    size: int | None = None
    sparse = False
    while True:
        header = _exactly(archive, BLOCK)
        if not any(header):
            return None
        kind, stored = _checked(header)
        if kind in (*_ATTRIBUTES, _OF_ALL, _LONG_NAME, _LONG_LINK):
            if stored > LONGEST_HEADER:
                raise CorpusError(f"a header of {stored} bytes")
            body = _exactly(archive, stored + -stored % BLOCK)[:stored]
            if kind == _LONG_NAME:
                name = _text(body)
            elif kind in _ATTRIBUTES:
                said = _attributes(body)
                name = _text(said[b"path"]) if b"path" in said else name
                size = _number(said[b"size"], 10) if b"size" in said else size
                sparse = sparse or any(key.startswith(b"GNU.sparse.") for key in said)
            continue
        if kind == _SPARSE:
            more = header[482]
            while more:
                more = _exactly(archive, BLOCK)[504]
        size = 0 if kind in _WITHOUT_DATA else stored if size is None else size
        name = _name(header) if name is None else name
        is_folder = kind == _FOLDER or (kind == b"\0" and name.endswith("/"))
        is_file = kind in _FILES and not sparse and not is_folder
        return Member(name, "folder" if is_folder else "file" if is_file else "other", size, archive, size)


def _checked(header: bytes) -> tuple[bytes, int]:
    """Type and size of a member. Raises CorpusError when this is no header."""
    rest = header[:148] + b" " * 8 + header[156:]
    # Some old programs summed up signed bytes.
    if _number(header[148:156]) not in (sum(rest), sum(rest) - 256 * sum(byte > 127 for byte in rest)):
        raise CorpusError("a header with a wrong checksum")
    return header[156:157], _number(header[124:136])


def _number(field: bytes, base: int = 8) -> int:
    try:
        number = int.from_bytes(field[1:]) if field[0] == 0x80 else int(field.partition(b"\0")[0].strip() or b"0", base)
    except (ValueError, IndexError) as error:
        raise CorpusError(f"a header with {field[:20]!r} for a number") from error
    if number < 0:
        raise CorpusError(f"a header with the size {number}")
    return number


def _name(header: bytes) -> str:
    name, prefix = _text(header[:100]), _text(header[345:500])
    return f"{prefix}/{name}" if prefix and header[257:263] == b"ustar\0" else name


def _attributes(body: bytes) -> dict[bytes, bytes]:
    """The records `length key=value` of a POSIX header."""
    said: dict[bytes, bytes] = {}
    start = 0
    while start < len(body) and body[start]:
        end = start + _number(body[start : start + 20].partition(b" ")[0], 10)
        key, equals, value = body[start:end].partition(b" ")[2].partition(b"=")
        if not equals or end > len(body) or not value.endswith(b"\n"):
            raise CorpusError("a header that is no list of attributes")
        said[key] = value[:-1]
        start = end
    return said


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _exactly(archive: BinaryIO, count: int) -> bytes:
    data = archive.read(count)
    while len(data) < count:
        more = archive.read(count - len(data))
        if not more:
            raise EOFError("unexpected end of data")
        data += more
    return data
