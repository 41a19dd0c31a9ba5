"""The same items in the same order, made ahead in a thread, and errors where they belong."""

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amia.utils.prefetch import prefetch


@settings(max_examples=30)
@given(items=st.lists(st.none() | st.integers()), ahead=st.integers(1, 5))
def test_the_same_items_in_order(items: list[int | None], ahead: int) -> None:
    assert list(prefetch(iter(items), ahead)) == items


def test_they_are_made_before_they_are_asked_for_but_not_all() -> None:
    made: list[int] = []
    third = threading.Event()
    makers: set[int] = set()

    def make() -> Iterator[int]:
        for number in range(20):
            makers.add(threading.get_ident())
            made.append(number)
            if number == 2:
                third.set()
            yield number

    items = prefetch(make(), ahead=2)
    assert next(items) == 0
    assert third.wait(timeout=60), "two more, though nobody asks"
    for number, item in enumerate(items, 1):
        assert item == number
        assert len(made) <= item + 1 + 2
    assert made == list(range(20))
    assert len(makers) == 1
    assert threading.get_ident() not in makers


@pytest.mark.parametrize("place", range(5))
def test_an_error_comes_out_at_its_place(place: int) -> None:
    def make() -> Iterator[int]:
        yield from range(place)
        raise OSError(f"no item {place}")

    items = prefetch(make())
    assert [next(items) for _ in range(place)] == list(range(place))
    with pytest.raises(OSError, match=f"no item {place}"):
        next(items)
    assert list(items) == []


def test_nothing_is_made_for_one_who_has_left() -> None:
    made: list[int] = []

    def make() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    items = prefetch(make(), ahead=2)
    next(items)
    items.close()  # type: ignore[attr-defined]  # a generator's, said to be an iterator
    assert len(made) == 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]
