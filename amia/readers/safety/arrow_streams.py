"""Checks of Arrow data from untrusted sources, before and while Arrow reads it.

Extension types: reading a schema with an extension type runs code of the library that registered the type. That is how
a Parquet file could execute commands through PyArrow (CVE-2023-47248) and Ray (CVE-2026-41486). Checking the schema
after opening a file is too late, so its raw bytes are searched here. No post needs such a type.

Streams: Arrow trusts them, since they are made for memory and not for files. Offsets outside their buffer make Python
read unrelated memory or crash the process, and a compressed batch may unpack to any size.
"""

import base64
import binascii
import struct
from typing import BinaryIO

import pyarrow as pa

from amia.errors import CorpusError
from amia.readers.safety.parquet_pages import check_schema_depth
from amia.readers.source import HEADER_BYTES, LocalFile, SourceFile

__all__ = ["check_batch", "check_parquet_footer", "refuse_compressed_batches", "refuse_stream_extensions"]

MAX_ROWS = 1_000_000
"""Rows of a batch, in addition to 8 per byte of the file: a column of nulls takes no bytes."""

MAX_METADATA_BYTES = 16 << 20
"""Bytes of the metadata of a message: some hundreds for each column."""
MAX_BATCH_BYTES = 1 << 30
"""Bytes of a batch in an object store. `datasets` writes 1,000 rows at once."""

_SCHEMA_KEY = b"ARROW:schema"
_EXTENSION_KEY = b"ARROW:extension:name"
_CONTINUATION = b"\xff\xff\xff\xff"
_RECORD_BATCH, _DICTIONARY_BATCH = 3, 2
"""Types of a message's header."""
_LEGACY_COMPRESSION_KEY = b"ARROW:experimental_compression"


def check_parquet_footer(file: SourceFile) -> None:
    """Raise CorpusError for a column of an extension type, for deeply nested columns and for a truncated file."""
    with file.open_ranges() as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - 8))
        tail = stream.read(8)
        length = struct.unpack("<I", tail[:4])[0] if len(tail) == 8 else 0
        if tail[4:] != b"PAR1" or length + 12 > size:
            raise CorpusError(f"{file}: not a Parquet file, or it is truncated or encrypted")
        stream.seek(size - 8 - length)
        footer = stream.read(length)
    check_schema_depth(footer, file)
    at = footer.find(_SCHEMA_KEY)
    while at >= 0:
        at += len(_SCHEMA_KEY)
        _refuse(_schema_after(footer, at, file), file)
        at = footer.find(_SCHEMA_KEY, at)


def refuse_stream_extensions(file: SourceFile) -> None:
    """Raise CorpusError if an Arrow stream (`.arrow`, as `datasets` saves it) has a column of an extension type."""
    with file.open_ranges(HEADER_BYTES) as stream:
        head = stream.read(8)
        if head[:4] != _CONTINUATION or len(head) < 8:
            raise CorpusError(f"{file}: not an Arrow stream as `datasets` saves it")
        _refuse(stream.read(struct.unpack("<I", head[4:])[0]), file)


def _schema_after(footer: bytes, at: int, file: SourceFile) -> bytes:
    """Return the Arrow schema after its key, which ends at `at`, in a footer in Thrift's compact protocol."""
    try:
        if footer[at] != 0x18:  # header of the next field, a string
            raise CorpusError(f"{file}: its Arrow schema has an encoding that no library writes; refused")
        length, shift, byte = 0, 0, 0x80
        while byte & 0x80:
            at += 1
            byte = footer[at]
            length |= (byte & 0x7F) << shift
            shift += 7
        return base64.b64decode(footer[at + 1 : at + 1 + length], validate=True)
    except (IndexError, binascii.Error) as error:
        raise CorpusError(f"{file}: its Arrow schema cannot be read; refused") from error


def _refuse(schema: bytes, file: SourceFile) -> None:
    if _EXTENSION_KEY in schema:
        raise CorpusError(
            f"{file}: a column has an Arrow extension type (a tensor, a pickled object), which could run code when it "
            "is read. Write the file again with plain columns."
        )


def refuse_compressed_batches(file: SourceFile) -> None:
    """Raise CorpusError if a message of an Arrow stream is compressed, which `datasets` never does.

    Only the headers of the messages are read. Raises CorpusError also if a message is damaged or ends behind the file,
    and for a batch of an object store that is too large for memory; one on a local disk is mapped.
    """
    with file.open_ranges(HEADER_BYTES) as stream:
        at = 0
        while metadata := _read_metadata(stream, at, file):
            try:
                is_compressed, length = _is_compressed(metadata), _body_length(metadata)
            except (struct.error, IndexError) as error:
                raise CorpusError(f"{file}: the stream is damaged or truncated") from error
            if is_compressed or _LEGACY_COMPRESSION_KEY in metadata:
                raise CorpusError(f"{file}: its batches are compressed, which `datasets` never does; save it again")
            at += 8 + len(metadata) + length
            if length < 0 or at > file.size:
                raise CorpusError(f"{file}: the stream is damaged or truncated")
            if length > MAX_BATCH_BYTES and not isinstance(file, LocalFile):
                raise CorpusError(
                    f"{file}: a batch of {length} bytes is too large to be read from a bucket; save the data set again "
                    "with a smaller `writer_batch_size`, or copy it to a local disk"
                )


def _read_metadata(stream: BinaryIO, at: int, file: SourceFile) -> bytes:
    """Return the metadata of the message at a position; empty at the end of the stream."""
    stream.seek(at)
    head = stream.read(8)
    if not head or head == _CONTINUATION + bytes(4):
        return b""
    length = struct.unpack("<I", head[4:])[0] if len(head) == 8 and head[:4] == _CONTINUATION else 0
    metadata = stream.read(length) if 0 < length <= MAX_METADATA_BYTES else b""
    if not metadata or len(metadata) < length:
        raise CorpusError(f"{file}: the stream is damaged or truncated")
    return metadata


def _body_length(metadata: bytes) -> int:
    field = _field(metadata, _u32(metadata, 0), 3)
    length: int = 0 if field is None else struct.unpack_from("<q", metadata, field)[0]
    return length


def check_batch(batch: pa.RecordBatch, file: SourceFile) -> None:
    """Raise CorpusError if an offset or a dictionary index is out of bounds, or if there are too many empty rows.

    Strings are validated as bytes, so that one that is not UTF-8 affects its row only.
    """
    if batch.num_rows > MAX_ROWS + 8 * file.size:
        raise CorpusError(f"{file}: {batch.num_rows} rows in a file of {file.size} bytes: refused")
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column.view(_as_bytes(column.type)).validate(full=True)
        except pa.ArrowException as error:
            raise CorpusError(f"{file}: column {name} is damaged: {error}") from error


def _as_bytes(kind: pa.DataType) -> pa.DataType:
    """Return the same type with bytes in place of strings."""
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


def _is_compressed(message: bytes) -> bool:
    """Check whether the batch that a message (a FlatBuffer) announces has a compression codec."""
    table = _u32(message, 0)
    kind, header = _field(message, table, 1), _field(message, table, 2)
    if kind is None or header is None or message[kind] not in (_RECORD_BATCH, _DICTIONARY_BATCH):
        return False
    batch = header + _u32(message, header)
    if message[kind] == _DICTIONARY_BATCH:
        data = _field(message, batch, 1)
        if data is None:
            return False
        batch = data + _u32(message, data)
    return _field(message, batch, 3) is not None


def _field(message: bytes, table: int, number: int) -> int | None:
    """Return the position of a field in a FlatBuffer table; None if the table lacks it."""
    vtable = table - struct.unpack_from("<i", message, table)[0]
    slot = 4 + 2 * number
    if slot + 2 > struct.unpack_from("<H", message, vtable)[0]:
        return None
    (offset,) = struct.unpack_from("<H", message, vtable + slot)
    return table + offset if offset else None


def _u32(message: bytes, at: int) -> int:
    number: int = struct.unpack_from("<I", message, at)[0]
    return number
