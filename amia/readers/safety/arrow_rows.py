"""Conversion of Arrow rows to Python values of the types that posts have; other values become their type's name.

Arrow's own `to_pylist` creates an object for every value of any type. Dates outside Python's range raise errors, one
value of a dictionary becomes as many copies as there are rows, and a list of a billion words a billion strings.
"""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["MAX_LIST_VALUES", "UnsupportedValue", "python_rows"]

MAX_LIST_VALUES = 100_000
"""Values of a list; no post has so many words."""

_SCALARS = (
    pa.types.is_null,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
)
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


@dataclass(frozen=True, slots=True)
class UnsupportedValue:
    """Placeholder of a value whose type no post has."""

    kind: str
    """Name of the type for messages: `timestamp[us]`."""


def python_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Convert a batch to rows; equal values of a dictionary share one object.

    Raises UnicodeDecodeError for strings that are not UTF-8, and ArrowException.
    """
    columns = [_values(column) for column in batch.columns]
    return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(array: pa.Array, *, nested: bool = False) -> list[Any]:
    kind = array.type
    if pa.types.is_dictionary(kind):
        indices = array.indices
        used = indices.unique().drop_null()
        values = dict(zip(used.to_pylist(), _values(array.dictionary.take(used), nested=nested), strict=True))
        return [None if index is None else values[index] for index in indices.to_pylist()]
    if not nested and any(test(kind) for test in _LISTS):
        return _lists(array)
    if not nested and pa.types.is_struct(kind):
        fields = [_values(array.field(index), nested=True) for index in range(kind.num_fields)]
        names = [kind.field(index).name for index in range(kind.num_fields)]
        rows = [dict(zip(names, row, strict=True)) for row in zip(*fields, strict=True)] or [{}] * len(array)
        return [row if valid else None for row, valid in zip(rows, array.is_valid().to_pylist(), strict=True)]
    if any(test(kind) for test in _SCALARS):
        return list(array.to_pylist())
    placeholder = UnsupportedValue(str(kind))
    return [placeholder if valid else None for valid in array.is_valid().to_pylist()]


def _lists(array: pa.Array) -> list[Any]:
    lengths = pc.list_value_length(array).to_pylist()
    too_long = [length is not None and length > MAX_LIST_VALUES for length in lengths]
    if any(too_long):
        shorter = iter(_lists(array.filter(pa.array([not long for long in too_long]))))
        placeholder = UnsupportedValue(f"a list of more than {MAX_LIST_VALUES} values")
        return [placeholder if long else next(shorter) for long in too_long]
    flat = _values(array.flatten(), nested=True)
    rows: list[list[Any] | None] = []
    start = 0
    for length in lengths:
        rows.append(None if length is None else flat[start : start + length])
        start += length or 0
    return rows
