"""Background threads: order, bounds, and where errors are raised."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amia.utils.prefetch import BackgroundWorker, prefetch, prefetch_map


def test_map_keeps_order_and_bound() -> None:
    started: list[int] = []

    def square(number: int) -> int:
        started.append(number)
        return number * number

    for index, result in enumerate(prefetch_map(square, range(40), threads=3)):
        assert result == index * index
        assert len(started) <= index + 3
    assert sorted(started) == list(range(40))


def test_map_raises_errors() -> None:
    with pytest.raises(ZeroDivisionError):
        list(prefetch_map(lambda number: 1 // number, [2, 1, 0, 3], threads=2))


@settings(max_examples=30)
@given(items=st.lists(st.none() | st.integers()), ahead=st.integers(1, 5))
def test_prefetch_yields_the_same_items_in_order(items: list[int | None], ahead: int) -> None:
    assert list(prefetch(iter(items), ahead)) == items


def test_prefetch_is_bounded_and_uses_one_thread() -> None:
    produced: list[int] = []
    third = threading.Event()
    threads: set[int] = set()

    def produce() -> Iterator[int]:
        for number in range(20):
            threads.add(threading.get_ident())
            produced.append(number)
            if number == 2:
                third.set()
            yield number

    items = prefetch(produce(), ahead=2)
    assert next(items) == 0
    assert third.wait(timeout=60), "two more items are produced without a request"
    for number, item in enumerate(items, 1):
        assert item == number
        assert len(produced) <= item + 1 + 2
    assert produced == list(range(20))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("position", range(5))
def test_prefetch_raises_errors_at_their_position(position: int) -> None:
    def produce() -> Iterator[int]:
        yield from range(position)
        raise OSError(f"no item {position}")

    items = prefetch(produce())
    assert [next(items) for _ in range(position)] == list(range(position))
    with pytest.raises(OSError, match=f"no item {position}"):
        next(items)
    assert list(items) == []


def test_closing_prefetch_stops_its_thread() -> None:
    produced: list[int] = []

    def produce() -> Iterator[int]:
        for number in range(100):
            produced.append(number)
            yield number

    items = prefetch(produce(), ahead=2)
    next(items)
    items.close()  # type: ignore[attr-defined]  # a generator, typed as an iterator
    assert len(produced) <= 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_worker_returns_results_in_order() -> None:
    with BackgroundWorker[int]() as worker:
        futures = [worker.submit(lambda number=number: number * number) for number in range(10)]
    assert [future.result() for future in futures] == [number * number for number in range(10)]


def test_submit_blocks_until_the_previous_batch_finished() -> None:
    started, release = threading.Event(), threading.Event()
    futures: list[Future[bool]] = []

    def first() -> bool:
        started.set()
        return release.wait(10)

    with BackgroundWorker[bool]() as worker:
        worker.submit(first)
        assert started.wait(10), "the first submit returns while its batch runs"
        other = threading.Thread(target=lambda: futures.append(worker.submit(lambda: True)))
        other.start()
        other.join(0.05)
        assert not futures, "the second submit waits for the first batch"
        release.set()
        other.join(10)
    assert futures[0].result()


def test_worker_raises_errors_at_the_next_submit() -> None:
    def fail() -> None:
        raise ValueError("post 17")

    with BackgroundWorker[None]() as worker:
        future = worker.submit(fail)
        with pytest.raises(ValueError, match="post 17"):
            worker.submit(lambda: None)
    with pytest.raises(ValueError, match="post 17"):
        future.result()


def test_leaving_the_worker_waits_for_the_last_batch() -> None:
    finished: list[int] = []
    with BackgroundWorker[None]() as worker:
        worker.submit(lambda: finished.append(1))
    assert finished == [1]
