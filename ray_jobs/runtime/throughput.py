"""Throughput of a stage, computed from the times at which its shards were published."""

from collections.abc import Sequence

__all__ = ["format_duration", "posts_per_second"]

WINDOW_S = 600.0
"""Length of the period that is averaged."""
MAX_GAP_S = 60.0
"""Time since the last publication that is not counted as a standstill."""


def posts_per_second(published: Sequence[tuple[float, int]], started: float, now: float) -> float | None:
    """Return the recent posts per second of an execution, or None if it has published nothing since it `started`.

    `published`: time of publication in seconds, and number of posts, of each shard. Averages over the last ten minutes,
    extended back to the previous publication, since actors that started together publish together. For the same reason
    a minute without a publication is not counted; a longer gap is.
    """
    shards = sorted((time, posts) for time, posts in published if time > started)
    if not shards:
        return None
    end = max(shards[-1][0], now - MAX_GAP_S)
    begin = max([started, *(time for time, _ in shards if time <= end - WINDOW_S)])
    return sum(posts for time, posts in shards if time > begin) / (end - begin)


def format_duration(seconds: float) -> str:
    """Format seconds as `3:07`, or as `2:00:41` from one hour on."""
    minutes, remainder = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{remainder:02d}" if hours else f"{minutes}:{remainder:02d}"
