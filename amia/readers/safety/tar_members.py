"""Members of a tar archive from an untrusted source, in one pass.

Python's `tarfile` reads extended headers as a whole, recursively and with regular expressions, and trusts their sizes:
archives of a few kilobytes make it take gigabytes or minutes, or fail with many kinds of errors. A corpus needs only
regular files and their names, which are simple to read.
"""

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, cast

from amia.errors import CorpusError
from amia.readers.source import SourceFile

__all__ = ["Member", "read_members"]

MAX_HEADER_BYTES = 1 << 16
"""Size of an extended header with names and attributes. A path has at most 4,096 bytes."""
BLOCK_BYTES = 512
_CHUNK_BYTES = 1 << 20

_OPENERS: dict[bytes, Callable[[BinaryIO], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
"""First bytes of a compressed file -> function that reads it."""

_FILES, _FOLDER, _SPARSE = (b"0", b"\0", b"7"), b"5", b"S"
_WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")
_PAX_HEADERS, _PAX_GLOBAL_HEADER, _GNU_LONG_NAME, _GNU_LONG_LINK = (b"x", b"X"), b"g", b"L", b"K"


@dataclass(slots=True)
class Member:
    """One member. Its content can be read until the next member is requested."""

    name: str
    """Name in the archive, which must not be used as a path; bytes that are not UTF-8 are surrogates."""
    kind: Literal["file", "folder", "other"]
    """other: a link, a device, a sparse file."""
    size: int
    _archive: BinaryIO
    _remaining: int

    def read(self, limit: int) -> bytes:
        """Read at most `limit` of the remaining bytes."""
        data = _read_exactly(self._archive, min(limit, self._remaining))
        self._remaining -= len(data)
        return data

    def skip(self) -> None:
        """Skip the remaining bytes, and the padding of the last block."""
        count = self._remaining + -self.size % BLOCK_BYTES
        while count > 0:
            count -= len(_read_exactly(self._archive, min(count, _CHUNK_BYTES)))
        self._remaining = 0


def read_members(file: SourceFile) -> Iterator[Member]:
    """Yield every member of an archive (plain, gzip, bzip2, xz), in order.

    Raises CorpusError, EOFError, and the errors of the decompressors, if the archive is damaged or truncated.
    """
    with file.open() as stream:
        signature = stream.read(6)
        stream.seek(0)
        opener = next((opener for magic, opener in _OPENERS.items() if signature.startswith(magic)), None)
        archive = stream if opener is None else cast(BinaryIO, opener(stream))
        while (member := _next_member(archive)) is not None:
            yield member
            member.skip()


def _next_member(archive: BinaryIO) -> Member | None:
    """Read the headers of the next member; None at the end of the archive."""
    name: str | None = None
    size: int | None = None
    sparse = False
    while True:
        header = _read_exactly(archive, BLOCK_BYTES)
        if not any(header):
            return None
        kind, stored_size = _parse_header(header)
        if kind in (*_PAX_HEADERS, _PAX_GLOBAL_HEADER, _GNU_LONG_NAME, _GNU_LONG_LINK):
            if stored_size > MAX_HEADER_BYTES:
                raise CorpusError(f"a header of {stored_size} bytes")
            body = _read_exactly(archive, stored_size + -stored_size % BLOCK_BYTES)[:stored_size]
            if kind == _GNU_LONG_NAME:
                name = _decode(body)
            elif kind in _PAX_HEADERS:
                attributes = _parse_attributes(body)
                name = _decode(attributes[b"path"]) if b"path" in attributes else name
                size = _parse_number(attributes[b"size"], 10) if b"size" in attributes else size
                sparse = sparse or any(key.startswith(b"GNU.sparse.") for key in attributes)
            continue
        if kind == _SPARSE:
            is_extended = header[482]
            while is_extended:
                is_extended = _read_exactly(archive, BLOCK_BYTES)[504]
        size = 0 if kind in _WITHOUT_DATA else stored_size if size is None else size
        name = _parse_name(header) if name is None else name
        is_folder = kind == _FOLDER or (kind == b"\0" and name.endswith("/"))
        is_file = kind in _FILES and not sparse and not is_folder
        return Member(name, "folder" if is_folder else "file" if is_file else "other", size, archive, size)


def _parse_header(header: bytes) -> tuple[bytes, int]:
    """Return type and size of a member. Raises CorpusError if the checksum is wrong."""
    summed = header[:148] + b" " * 8 + header[156:]
    # Some old programs summed signed bytes.
    if _parse_number(header[148:156]) not in (sum(summed), sum(summed) - 256 * sum(byte > 127 for byte in summed)):
        raise CorpusError("a header with a wrong checksum")
    return header[156:157], _parse_number(header[124:136])


def _parse_number(field: bytes, base: int = 8) -> int:
    try:
        number = int.from_bytes(field[1:]) if field[0] == 0x80 else int(field.partition(b"\0")[0].strip() or b"0", base)
    except (ValueError, IndexError) as error:
        raise CorpusError(f"a header with {field[:20]!r} in place of a number") from error
    if number < 0:
        raise CorpusError(f"a header with the size {number}")
    return number


def _parse_name(header: bytes) -> str:
    name, prefix = _decode(header[:100]), _decode(header[345:500])
    return f"{prefix}/{name}" if prefix and header[257:263] == b"ustar\0" else name


def _parse_attributes(body: bytes) -> dict[bytes, bytes]:
    """Parse the records `length key=value` of a POSIX header."""
    attributes: dict[bytes, bytes] = {}
    start = 0
    while start < len(body) and body[start]:
        end = start + _parse_number(body[start : start + 20].partition(b" ")[0], 10)
        key, equals, value = body[start:end].partition(b" ")[2].partition(b"=")
        if not equals or end > len(body) or not value.endswith(b"\n"):
            raise CorpusError("a header with an invalid list of attributes")
        attributes[key] = value[:-1]
        start = end
    return attributes


def _decode(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _read_exactly(archive: BinaryIO, count: int) -> bytes:
    data = archive.read(count)
    while len(data) < count:
        more = archive.read(count - len(data))
        if not more:
            raise EOFError("unexpected end of data")
        data += more
    return data
