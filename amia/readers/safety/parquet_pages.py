"""Checks of a Parquet file before Arrow reads it: the depth of its schema, and the sizes of its pages.

The header of a page gives its decompressed size and its number of values, and Arrow trusts both: four kilobytes of
compressed zeros become gigabytes of images, and as few bytes repeat one token a billion times.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow.parquet as pq

from amia.errors import CorpusError
from amia.readers.source import HEADER_BYTES, SourceFile

__all__ = ["Pages", "check_schema_depth", "read_pages"]

MAX_DECOMPRESSED_BYTES = 256_000_000
"""Decompressed bytes of a column in a row group, if that is more than `MAX_COMPRESSION_RATIO` allows."""
MAX_COMPRESSION_RATIO = 50
"""Typical ratios are 10 for text, 20 for tags and 1 for images."""
MAX_VALUES = 1_000_000
"""Values of a column in a row group, in addition to 8 per byte of the file: a run of one value takes no bytes."""

MAX_SCHEMA_DEPTH = 64
"""Levels of nested columns. A list of structs takes three."""

_HEADER_BYTES = (HEADER_BYTES, 1 << 24)
"""Bytes that are read for a page's header at first, and if that is not enough. Arrow refuses more than 16 MB."""


@dataclass(frozen=True, slots=True)
class Pages:
    """Summary of the pages of some columns."""

    max_bytes: int
    """Decompressed size of the largest page."""
    dictionary_lists: list[str]
    """Paths of lists with dictionary-encoded strings, each of which may occur a million times."""


def read_pages(file: SourceFile, metadata: pq.FileMetaData, columns: Collection[str], groups: Iterable[int]) -> Pages:
    """Read the page headers of some columns in some row groups.

    Raises CorpusError if the pages of a column decompress to more than those of an honest file could.
    """
    max_bytes, dictionary_lists = 0, dict[str, None]()
    with file.open_ranges(HEADER_BYTES) as stream:
        size = stream.seek(0, 2)
        for group in groups:
            for index in range(metadata.num_columns):
                chunk = metadata.row_group(group).column(index)
                if chunk.path_in_schema.partition(".")[0] not in columns:
                    continue
                start, dictionary = chunk.data_page_offset, chunk.dictionary_page_offset
                if dictionary is not None and 0 < dictionary < start:
                    start = dictionary
                try:
                    sizes, num_values = _read_chunk(stream, start, start + chunk.total_compressed_size)
                except (LookupError, ValueError, TypeError, AttributeError, OSError) as error:
                    raise CorpusError(f"{file}: the pages of column {chunk.path_in_schema} are damaged") from error
                decompressed = sum(sizes)
                if decompressed > max(MAX_DECOMPRESSED_BYTES, MAX_COMPRESSION_RATIO * chunk.total_compressed_size):
                    raise CorpusError(
                        f"{file}: {chunk.total_compressed_size} bytes of column {chunk.path_in_schema} decompress to "
                        f"{decompressed}: refused, since no real column has such a compression ratio"
                    )
                if num_values > MAX_VALUES + 8 * size:
                    raise CorpusError(
                        f"{file}: column {chunk.path_in_schema} has {num_values} values in a file of {size} bytes: "
                        "refused, since no real column has such a compression ratio"
                    )
                max_bytes = max(max_bytes, *sizes, 0)
                if metadata.schema.column(index).max_repetition_level and chunk.has_dictionary_page:
                    dictionary_lists[chunk.path_in_schema] = None
    return Pages(max_bytes, list(dictionary_lists))


def check_schema_depth(footer: bytes, file: SourceFile) -> None:
    """Raise CorpusError if columns are nested deeper than `MAX_SCHEMA_DEPTH`, or if the schema cannot be parsed.

    `footer` is the file's metadata in Thrift's compact protocol. Some versions of Arrow recurse over the schema and
    overflow the stack of the process.
    """
    try:
        _check_schema_depth(footer, file)
    except (IndexError, ValueError) as error:
        raise CorpusError(f"{file}: not a Parquet file, or its schema is damaged ({error})") from error


def _check_schema_depth(footer: bytes, file: SourceFile) -> None:
    if footer[0] != 0x15:  # field 1, an i32: the version
        raise ValueError("no version")
    _, at = _parse_zigzag(footer, 1)
    if footer[at] != 0x19 or footer[at + 1] & 0x0F != 12:  # field 2, a list of structs: the schema in pre-order
        raise ValueError("no schema")
    count, at = footer[at + 1] >> 4, at + 2
    if count == 15:
        count, at = _parse_varint(footer, at)
    open_groups: list[int] = []  # for each ancestor, how many of its children are still to come
    for _ in range(count):
        element, at = _parse_struct(footer, at)
        while open_groups and not open_groups[-1]:
            open_groups.pop()
        if open_groups:
            open_groups[-1] -= 1
        if num_children := element.get(5):
            open_groups.append(num_children)
        if len(open_groups) > MAX_SCHEMA_DEPTH:
            raise CorpusError(f"{file}: columns nested more than {MAX_SCHEMA_DEPTH} levels deep: refused")


def _read_chunk(stream: BinaryIO, start: int, end: int) -> tuple[list[int], int]:
    """Return the decompressed size of each page, and the number of values of all pages."""
    sizes: list[int] = []
    num_values = 0
    while start < end:
        header, length = _read_header(stream, start)
        decompressed, compressed = int(header[2]), int(header[3])
        if decompressed < 0 or compressed < 0:
            raise ValueError("a page of negative size")
        sizes.append(decompressed)
        num_values += (header.get(5) or header.get(8) or {}).get(1) or 0  # data pages of version 1 and 2
        start += length + compressed
    return sizes, num_values


def _read_header(stream: BinaryIO, start: int) -> tuple[dict[int, Any], int]:
    """Return the fields of a page's header, and its length."""
    for limit in _HEADER_BYTES:
        stream.seek(start)
        data = stream.read(limit)
        try:
            header, length = _parse_struct(data, 0)
        except IndexError:
            if len(data) < limit or limit == _HEADER_BYTES[-1]:
                raise
        else:
            return header, length
    raise AssertionError("unreachable")


def _parse_struct(data: bytes, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Parse a struct in Thrift's compact protocol: return field id -> integer or struct, and the end position."""
    if depth > 8:
        raise ValueError("structs nested too deep")
    fields: dict[int, Any] = {}
    field_id = 0
    while kind := data[at] & 0x0F:
        delta = data[at] >> 4
        at += 1
        if delta:
            field_id += delta
        else:
            field_id, at = _parse_zigzag(data, at)
        fields[field_id], at = _parse_value(data, at, kind, depth)
    return fields, at + 1


def _parse_value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    match kind:
        case 1 | 2:  # true and false, which have no data
            return None, at
        case 3:
            return None, at + 1
        case 4 | 5 | 6:
            return _parse_zigzag(data, at)
        case 7:
            return None, at + 8
        case 8:
            length, at = _parse_varint(data, at)
            return None, at + length
        case 12:
            return _parse_struct(data, at, depth + 1)
    raise ValueError("a list in a page's header")


def _parse_zigzag(data: bytes, at: int) -> tuple[int, int]:
    number, at = _parse_varint(data, at)
    return (number >> 1) ^ -(number & 1), at


def _parse_varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("an integer of more than 70 bits")
