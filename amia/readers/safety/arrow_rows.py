"""Rows of Arrow to Python's values, of the kinds that a post consists of; of anything else only the name of its kind.

Arrow's own `to_pylist` makes an object of whatever lies in a column: dates that Python has no room for end in errors, a
value that stands in a dictionary once becomes as many copies as there are rows, and a list of a billion words a billion
strings.
"""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["LONGEST_LIST", "UnsupportedValue", "python_rows"]

LONGEST_LIST = 100_000
"""Values; no post has so many words."""

_PLAIN = (
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
    """Stands for a value that no post has."""

    kind: str
    """What it is, for messages: `timestamp[us]`."""


def python_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows of a batch; equal values of a dictionary are one object.

    Raises UnicodeDecodeError for strings that are not UTF-8, and ArrowException.
    """
    columns = [_values(column) for column in batch.columns]
    return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(array: pa.Array, *, inside: bool = False) -> list[Any]:
    kind = array.type
    if pa.types.is_dictionary(kind):
        numbers = array.indices
        used = numbers.unique().drop_null()
        named = dict(zip(used.to_pylist(), _values(array.dictionary.take(used), inside=inside), strict=True))
        return [None if number is None else named[number] for number in numbers.to_pylist()]
    if not inside and any(test(kind) for test in _LISTS):
        return _lists(array)
    if not inside and pa.types.is_struct(kind):
        parts = [_values(array.field(place), inside=True) for place in range(kind.num_fields)]
        names = [kind.field(place).name for place in range(kind.num_fields)]
        rows = [dict(zip(names, row, strict=True)) for row in zip(*parts, strict=True)] or [{}] * len(array)
        return [row if valid else None for row, valid in zip(rows, array.is_valid().to_pylist(), strict=True)]
    if any(test(kind) for test in _PLAIN):
        return list(array.to_pylist())
    foreign = UnsupportedValue(str(kind))
    return [foreign if valid else None for valid in array.is_valid().to_pylist()]


def _lists(array: pa.Array) -> list[Any]:
    lengths = pc.list_value_length(array).to_pylist()
    long = [length is not None and length > LONGEST_LIST for length in lengths]
    if any(long):
        shorter = iter(_lists(array.filter(pa.array([not each for each in long]))))
        foreign = UnsupportedValue(f"a list of more than {LONGEST_LIST} values")
        return [foreign if each else next(shorter) for each in long]
    flat = _values(array.flatten(), inside=True)
    rows: list[list[Any] | None] = []
    start = 0
    for length in lengths:
        rows.append(None if length is None else flat[start : start + length])
        start += length or 0
    return rows
