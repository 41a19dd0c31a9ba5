"""Arrow extension types, refused before Arrow sees the file.

An extension type runs code of whichever library registered it, while the schema is being read: that is how a Parquet
file could execute commands through PyArrow (CVE-2023-47248) and Ray (CVE-2026-41486). Opening a file and looking at its
schema then is too late, so its raw bytes are looked at here. No post needs such a type.
"""

import base64
import binascii
import struct
from pathlib import Path

import pyarrow as pa

from amia.errors import CorpusError

__all__ = ["refuse_broken_batch", "refuse_packed_batches", "refuse_parquet_extensions", "refuse_stream_extensions"]

# MERGED FROM amia.readers.safety.arrow_streams: Arrow streams from strangers: what Arrow takes on trust, since its streams are meant for memory and not for files.
#
# Offsets that point outside their buffer make Python read whatever memory lies there, or end the process; and a batch may
# be packed and unpack to any size.
_SCHEMA_KEY = b"ARROW:schema"
_EXTENSION_KEY = b"ARROW:extension:name"
_CONTINUED = b"\xff\xff\xff\xff"


def refuse_parquet_extensions(file: Path) -> None:
    """Raises CorpusError when a Parquet file has a column of an extension type, or is no whole Parquet file."""
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - 8))
        tail = stream.read(8)
        length = struct.unpack("<I", tail[:4])[0] if len(tail) == 8 else 0
        if tail[4:] != b"PAR1" or length + 12 > size:
            raise CorpusError(f"{file}: not a Parquet file, or one that was cut off or encrypted")
        stream.seek(size - 8 - length)
        footer = stream.read(length)
    at = footer.find(_SCHEMA_KEY)
    while at >= 0:
        at += len(_SCHEMA_KEY)
        _refuse(_schema_after(footer, at, file), file)
        at = footer.find(_SCHEMA_KEY, at)


def refuse_stream_extensions(file: Path) -> None:
    """Raises CorpusError when an Arrow stream (`.arrow`, as `datasets` saves it) has a column of an extension type."""
    with file.open("rb") as stream:
        head = stream.read(8)
        if head[:4] != _CONTINUED or len(head) < 8:
            raise CorpusError(f"{file}: not an Arrow stream as `datasets` saves it")
        _refuse(stream.read(struct.unpack("<I", head[4:])[0]), file)


def _schema_after(footer: bytes, at: int, file: Path) -> bytes:
    """The Arrow schema that follows its key, which ends at `at`, in a footer in Thrift's compact protocol."""
    try:
        if footer[at] != 0x18:  # the next field, a string
            raise CorpusError(f"{file}: its Arrow schema is not written as any library writes it; refused")
        length, shift, byte = 0, 0, 0x80
        while byte & 0x80:
            at += 1
            byte = footer[at]
            length |= (byte & 0x7F) << shift
            shift += 7
        return base64.b64decode(footer[at + 1 : at + 1 + length], validate=True)
    except (IndexError, binascii.Error) as error:
        raise CorpusError(f"{file}: its Arrow schema cannot be read; refused") from error


def _refuse(schema: bytes, file: Path) -> None:
    if _EXTENSION_KEY in schema:
        raise CorpusError(
            f"{file}: a column has an Arrow extension type (a tensor, a pickled object), which could run code when it "
            "is read. Write the file again with plain columns."
        )


MOST_ROWS = 1_000_000
"""Of a batch, beside 8 for each byte of the file: a column of nulls takes no bytes."""

_RECORDS, _DICTIONARY = 3, 2
"""Kinds of a message's header."""
_OLD_MARK = b"ARROW:experimental_compression"


def refuse_packed_batches(file: Path) -> None:
    """Raises CorpusError when a message of an Arrow stream is compressed, which `datasets` never does."""
    with pa.memory_map(str(file)) as stream:
        for message in pa.MessageReader.open_stream(stream):
            about = message.metadata.to_pybytes()
            if _OLD_MARK in about or _is_packed(about):
                raise CorpusError(f"{file}: its batches are compressed, which `datasets` never does; save it again")


def refuse_broken_batch(batch: pa.RecordBatch, file: Path) -> None:
    """Raises CorpusError when an offset or a number of a dictionary points outside, and for rows that take no bytes.

    Strings are looked at as bytes: one that is not UTF-8 costs its row only.
    """
    if batch.num_rows > MOST_ROWS + 8 * file.stat().st_size:
        raise CorpusError(f"{file}: {batch.num_rows} rows in a file of {file.stat().st_size} bytes: refused")
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column.view(_as_bytes(column.type)).validate(full=True)
        except pa.ArrowException as error:
            raise CorpusError(f"{file}: column {name} is damaged: {error}") from error


def _as_bytes(kind: pa.DataType) -> pa.DataType:
    """The same type with bytes for strings."""
    if pa.types.is_string(kind):
        return pa.binary()
    if pa.types.is_large_string(kind):
        return pa.large_binary()
    if pa.types.is_string_view(kind):
        return pa.binary_view()
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _as_bytes(kind.value_type), kind.ordered)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_as_bytes(field.type)) for field in kind])
    for test, make in ((pa.types.is_list, pa.list_), (pa.types.is_large_list, pa.large_list)):
        if test(kind):
            return make(kind.value_field.with_type(_as_bytes(kind.value_type)))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_as_bytes(kind.value_type)), kind.list_size)
    return kind


def _is_packed(message: bytes) -> bool:
    """Whether the batch that a message (a FlatBuffer) announces says how it is compressed."""
    table = _u32(message, 0)
    kind, header = _field(message, table, 1), _field(message, table, 2)
    if kind is None or header is None or message[kind] not in (_RECORDS, _DICTIONARY):
        return False
    batch = header + _u32(message, header)
    if message[kind] == _DICTIONARY:
        data = _field(message, batch, 1)
        if data is None:
            return False
        batch = data + _u32(message, data)
    return _field(message, batch, 3) is not None


def _field(message: bytes, table: int, number: int) -> int | None:
    """Where a table's field lies; None where the table has none."""
    index = table - struct.unpack_from("<i", message, table)[0]
    slot = 4 + 2 * number
    if slot + 2 > struct.unpack_from("<H", message, index)[0]:
        return None
    (offset,) = struct.unpack_from("<H", message, index + slot)
    return table + offset if offset else None


def _u32(message: bytes, at: int) -> int:
    number: int = struct.unpack_from("<I", message, at)[0]
    return number
