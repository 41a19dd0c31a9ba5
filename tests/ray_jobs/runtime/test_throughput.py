"""Posts a second from times of publication, held against stages whose speed is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_jobs.runtime.throughput import format_duration, posts_per_second


@given(
    actors=st.integers(1, 64),
    shard_s=st.floats(1, 200),
    rounds=st.integers(1, 40),
    begun=st.floats(0, 1e9),
    looked=st.floats(0, 1),
)
def test_actors_that_publish_together_are_counted_as_fast_as_they_are(
    actors: int, shard_s: float, rounds: int, begun: float, looked: float
) -> None:
    times = [(begun + number * shard_s, 512) for number in range(1, rounds + 1) for _ in range(actors)]
    found = posts_per_second(times, begun, times[-1][0] + looked * min(shard_s, 60))
    assert found == pytest.approx(actors * 512 / shard_s, rel=1e-4)


def test_what_was_published_before_the_execution_does_not_count() -> None:
    before = [(float(second), 512) for second in range(100)]
    assert posts_per_second(before, 5000.0, 5010.0) is None
    assert posts_per_second([*before, (5010.0, 100)], 5000.0, 5011.0) == pytest.approx(10)


def test_of_late_it_went_slower() -> None:
    quick = [(float(second), 512) for second in range(1, 1000)]
    slow = [(1000.0 + 10 * number, 512) for number in range(1, 100)]
    assert posts_per_second(quick + slow, 0.0, 1990.0) == pytest.approx(51.2)


def test_a_stage_that_stands_still_slows_down() -> None:
    times = [(float(second), 512) for second in range(1, 601)]
    assert posts_per_second(times, 0.0, 630.0) == pytest.approx(512)
    assert posts_per_second(times, 0.0, 960.0) == pytest.approx(512 / 2, rel=0.01)
    assert (posts_per_second(times, 0.0, 100_000.0) or 0) < 0.1


def test_shards_of_an_hour_each_still_have_a_pace() -> None:
    times = [(3600.0 * number, 360) for number in range(1, 9)]
    assert posts_per_second(times, 0.0, times[-1][0]) == pytest.approx(0.1)


@pytest.mark.parametrize(("seconds", "said"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (7265, "2:01:05")])
def test_clock(seconds: float, said: str) -> None:
    assert format_duration(seconds) == said
