"""Arrow streams from strangers: what Arrow takes on trust, since its streams are meant for memory and not for files.

Offsets that point outside their buffer make Python read whatever memory lies there, or end the process; and a batch may
be packed and unpack to any size.
"""

import struct
from pathlib import Path

import pyarrow as pa

from amia.errors import CorpusError

__all__ = ["refuse_broken_batch", "refuse_packed_batches"]

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
