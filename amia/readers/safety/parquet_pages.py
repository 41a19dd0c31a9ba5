"""How large the pages of a Parquet file become, read from their headers before Arrow unpacks any of them.

A page says how many bytes it unpacks to and how many values it holds, and Arrow believes it: four kilobytes of repeated
zeros become gigabytes of images, and as few bytes say a billion times the same token.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.parquet as pq

from amia.errors import CorpusError

__all__ = ["Pages", "read_pages"]

MOST_UNPACKED = 256_000_000
"""Bytes of a column in a row group, if they are more than `MOST_TIMES` of what they are packed in."""
MOST_TIMES = 50
"""Text shrinks to a tenth, tags to a twentieth, and images not at all."""
MOST_VALUES = 1_000_000
"""Of a column in a row group, beside 8 for each byte of the file: a run of one value takes no bytes."""

_HEADER_BYTES = (1 << 12, 1 << 24)
"""Read at first, and where that was not enough; Arrow refuses a page's header of more than 16 MB."""


@dataclass(frozen=True, slots=True)
class Pages:
    """What the pages of some columns unpack to."""

    largest: int
    """Bytes of the largest page."""
    repeated: list[str]
    """Paths of strings in lists that are numbers of a dictionary: each may stand there a million times."""


def read_pages(file: Path, metadata: pq.FileMetaData, columns: Collection[str]) -> Pages:
    """Raises CorpusError where the pages of one of these columns unpack to more than an honest file's could."""
    largest, repeated = 0, dict[str, None]()
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        for group in range(metadata.num_row_groups):
            for place in range(metadata.num_columns):
                chunk = metadata.row_group(group).column(place)
                if chunk.path_in_schema.partition(".")[0] not in columns:
                    continue
                start, dictionary = chunk.data_page_offset, chunk.dictionary_page_offset
                if dictionary is not None and 0 < dictionary < start:
                    start = dictionary
                try:
                    sizes, values = _chunk(stream, start, start + chunk.total_compressed_size)
                except (LookupError, ValueError, TypeError, AttributeError, OSError) as error:
                    raise CorpusError(f"{file}: the pages of column {chunk.path_in_schema} are damaged") from error
                unpacked = sum(sizes)
                if unpacked > max(MOST_UNPACKED, MOST_TIMES * chunk.total_compressed_size):
                    raise CorpusError(
                        f"{file}: {chunk.total_compressed_size} bytes of column {chunk.path_in_schema} unpack to "
                        f"{unpacked}: refused, since no real column shrinks so far"
                    )
                if values > MOST_VALUES + 8 * size:
                    raise CorpusError(
                        f"{file}: column {chunk.path_in_schema} holds {values} values in a file of {size} bytes: "
                        "refused, since no real column shrinks so far"
                    )
                largest = max(largest, *sizes, 0)
                if metadata.schema.column(place).max_repetition_level and chunk.has_dictionary_page:
                    repeated[chunk.path_in_schema] = None
    return Pages(largest, list(repeated))


def _chunk(stream: BinaryIO, start: int, end: int) -> tuple[list[int], int]:
    """Bytes that each page unpacks to, and how many values they hold together."""
    sizes: list[int] = []
    values = 0
    while start < end:
        header, length = _header(stream, start)
        unpacked, packed = int(header[2]), int(header[3])
        if unpacked < 0 or packed < 0:
            raise ValueError("a page of negative size")
        sizes.append(unpacked)
        values += (header.get(5) or header.get(8) or {}).get(1) or 0  # data pages of version 1 and 2
        start += length + packed
    return sizes, values


def _header(stream: BinaryIO, start: int) -> tuple[dict[int, Any], int]:
    """A page's header, field by field, and how long it is."""
    for most in _HEADER_BYTES:
        stream.seek(start)
        data = stream.read(most)
        try:
            header, length = _struct(data, 0)
        except IndexError:
            if len(data) < most or most == _HEADER_BYTES[-1]:
                raise
        else:
            return header, length
    raise AssertionError("unreachable")


def _struct(data: bytes, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """A struct in Thrift's compact protocol: number of a field -> whole number or struct; and where it ends."""
    if depth > 8:
        raise ValueError("structs without end")
    fields: dict[int, Any] = {}
    number = 0
    while kind := data[at] & 0x0F:
        step = data[at] >> 4
        at += 1
        if step:
            number += step
        else:
            number, at = _whole(data, at)
        fields[number], at = _value(data, at, kind, depth)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    match kind:
        case 1 | 2:  # true and false: nothing follows
            return None, at
        case 3:
            return None, at + 1
        case 4 | 5 | 6:
            return _whole(data, at)
        case 7:
            return None, at + 8
        case 8:
            length, at = _varint(data, at)
            return None, at + length
        case 12:
            return _struct(data, at, depth + 1)
    raise ValueError("a list in a page's header")


def _whole(data: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(data, at)
    return (number >> 1) ^ -(number & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("a number without end")
