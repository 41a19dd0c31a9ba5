"""Reading a run's shards ahead of whoever looks at them: in order, and few at a time."""

import pytest

from ray_jobs.reporting.read_ahead import read_ahead


def test_reading_ahead_keeps_the_order_and_few_at_a_time() -> None:
    begun: list[int] = []

    def read(number: int) -> int:
        begun.append(number)
        return number * number

    for taken, value in enumerate(read_ahead(read, range(40), threads=3)):
        assert value == taken * taken
        assert len(begun) <= taken + 3
    assert sorted(begun) == list(range(40))


def test_reading_ahead_passes_errors_on() -> None:
    with pytest.raises(ZeroDivisionError):
        list(read_ahead(lambda number: 1 // number, [2, 1, 0, 3], threads=2))
