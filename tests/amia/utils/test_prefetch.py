"""The thread behind: results in order, never more than one batch in it, errors where the next batch comes."""

import threading
from concurrent.futures import Future

import pytest

from amia.utils.prefetch import BackgroundWorker


def test_results_are_those_of_the_work_in_order() -> None:
    with BackgroundWorker[int]() as behind:
        made = [behind.put(lambda number=number: number * number) for number in range(10)]
    assert [each.result() for each in made] == [number * number for number in range(10)]


def test_one_is_at_work_while_the_next_is_made_and_a_third_waits() -> None:
    begun, go = threading.Event(), threading.Event()
    handed: list[Future[bool]] = []

    def first() -> bool:
        begun.set()
        return go.wait(10)

    with BackgroundWorker[bool]() as behind:
        behind.put(first)
        assert begun.wait(10), "it is at work, and who handed it in goes on"
        other = threading.Thread(target=lambda: handed.append(behind.put(lambda: True)))
        other.start()
        other.join(0.05)
        assert not handed, "the second waits for the first"
        go.set()
        other.join(10)
    assert handed[0].result()


def test_what_goes_wrong_is_raised_at_the_next_batch_and_by_the_result() -> None:
    def broken() -> None:
        raise ValueError("post 17")

    with BackgroundWorker[None]() as behind:
        made = behind.put(broken)
        with pytest.raises(ValueError, match="post 17"):
            behind.put(lambda: None)
    with pytest.raises(ValueError, match="post 17"):
        made.result()


def test_leaving_waits_for_the_last() -> None:
    done: list[int] = []
    with BackgroundWorker[None]() as behind:
        behind.put(lambda: done.append(1))
    assert done == [1]
