"""Throughput from times of publication, compared with stages of known speed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_jobs.runtime.throughput import format_duration, posts_per_second


@given(
    actors=st.integers(1, 64),
    shard_s=st.floats(1, 200),
    rounds=st.integers(1, 40),
    start=st.floats(0, 1e9),
    delay=st.floats(0, 1),
)
def test_actors_that_publish_together(actors: int, shard_s: float, rounds: int, start: float, delay: float) -> None:
    published = [(start + number * shard_s, 512) for number in range(1, rounds + 1) for _ in range(actors)]
    rate = posts_per_second(published, start, published[-1][0] + delay * min(shard_s, 60))
    assert rate == pytest.approx(actors * 512 / shard_s, rel=1e-4)


def test_ignores_previous_executions() -> None:
    previous = [(float(second), 512) for second in range(100)]
    assert posts_per_second(previous, 5000.0, 5010.0) is None
    assert posts_per_second([*previous, (5010.0, 100)], 5000.0, 5011.0) == pytest.approx(10)


def test_reports_the_recent_speed() -> None:
    fast = [(float(second), 512) for second in range(1, 1000)]
    slow = [(1000.0 + 10 * number, 512) for number in range(1, 100)]
    assert posts_per_second(fast + slow, 0.0, 1990.0) == pytest.approx(51.2)


def test_standstill_lowers_the_speed() -> None:
    published = [(float(second), 512) for second in range(1, 601)]
    assert posts_per_second(published, 0.0, 630.0) == pytest.approx(512)
    assert posts_per_second(published, 0.0, 960.0) == pytest.approx(512 / 2, rel=0.01)
    assert (posts_per_second(published, 0.0, 100_000.0) or 0) < 0.1


def test_shards_longer_than_the_window() -> None:
    published = [(3600.0 * number, 360) for number in range(1, 9)]
    assert posts_per_second(published, 0.0, published[-1][0]) == pytest.approx(0.1)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (7265, "2:01:05")])
def test_format_duration(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
