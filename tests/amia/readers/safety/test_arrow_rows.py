"""Conversion of Arrow values: equal to Arrow's own for types of posts, and a placeholder for all others."""

import datetime
import decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.readers.safety.arrow_rows import UnsupportedValue, python_rows

TEXT = st.none() | st.text(max_size=4)
COLUMNS = {
    pa.string(): TEXT,
    pa.large_string(): TEXT,
    pa.string_view(): TEXT,
    pa.binary(): st.none() | st.binary(max_size=4),
    pa.binary(2): st.none() | st.binary(min_size=2, max_size=2),
    pa.int64(): st.none() | st.integers(-9, 9),
    pa.float64(): st.none() | st.floats(-9, 9),
    pa.bool_(): st.none() | st.booleans(),
    pa.null(): st.none(),
    pa.list_(pa.string()): st.none() | st.lists(TEXT, max_size=3),
    pa.large_list(pa.int64()): st.none() | st.lists(st.integers(-9, 9), max_size=3),
    pa.list_(pa.string(), 2): st.none() | st.lists(TEXT, min_size=2, max_size=2),
    pa.struct({"bytes": pa.binary(), "path": pa.string()}): st.none()
    | st.fixed_dictionaries({"bytes": st.none() | st.binary(max_size=4), "path": TEXT}),
}


@given(
    st.sampled_from(list(COLUMNS)).flatmap(lambda kind: st.tuples(st.just(kind), st.lists(COLUMNS[kind]))), st.data()
)
def test_supported_types_equal_arrow(column: tuple[pa.DataType, list[object]], data: st.DataObject) -> None:
    kind, values = column
    array = pa.array(values, kind)
    start = data.draw(st.integers(0, len(values)))
    batch = pa.record_batch([array, array], ["a", "b"]).slice(start)
    assert python_rows(batch) == batch.to_pylist()


@given(st.lists(TEXT), st.integers(0, 3))
def test_dictionary_values(values: list[str | None], start: int) -> None:
    flat = pa.array(values, pa.string()).dictionary_encode()
    lists = pa.ListArray.from_arrays(pa.array(range(len(values) + 1), pa.int32()), flat)
    batch = pa.record_batch([flat, lists], ["a", "b"]).slice(start)
    assert python_rows(batch) == batch.to_pylist()


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (pa.array([2**61], pa.timestamp("ms")), "timestamp[ms]"),  # Arrow: OverflowError
        (pa.array([2**31 - 1], pa.date32()), "date32[day]"),
        (pa.array([0], pa.timestamp("us", tz="No/Where")), "timestamp[us, tz=No/Where]"),
        (pa.array([datetime.timedelta(1)]), "duration[us]"),
        (pa.array([decimal.Decimal(1)]), "decimal128(1, 0)"),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())), "map<string, int8>"),
        (pa.array([[1]], pa.list_view(pa.int8())), "list_view<item: int8>"),
    ],
)
def test_unsupported_types_become_placeholders(array: pa.Array, kind: str) -> None:
    array = pa.concat_arrays([array, pa.nulls(1, array.type)])
    assert python_rows(pa.record_batch([array], ["a"])) == [{"a": UnsupportedValue(kind)}, {"a": None}]


def test_nested_lists_are_unsupported() -> None:
    batch = pa.record_batch([pa.array([[["x"]], None])], ["a"])
    assert python_rows(batch) == [{"a": [UnsupportedValue("list<item: string>")]}, {"a": None}]


def test_invalid_utf_8() -> None:
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
    with pytest.raises(UnicodeDecodeError):
        python_rows(pa.record_batch([bad], ["a"]))
