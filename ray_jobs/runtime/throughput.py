"""How fast a stage goes, from the times at which its shards were published: nobody has to keep count."""

from collections.abc import Sequence

__all__ = ["format_duration", "posts_per_second"]

WINDOW_S = 600.0
SILENCE_S = 60.0


def posts_per_second(published: Sequence[tuple[float, int]], started: float, now: float) -> float | None:
    """Posts a second of late; None where nothing was published since the execution `started`.

    `published`: of each shard the time at which it was written, in seconds, and its posts. Counts the last ten minutes,
    and as much more as reaches back to a publication, since shards come in rounds: actors that began together end
    together. For the same reason a minute without a shard is not held against the stage; a longer one is.
    """
    since = sorted((time, posts) for time, posts in published if time > started)
    if not since:
        return None
    end = max(since[-1][0], now - SILENCE_S)
    begin = max([started, *(time for time, _ in since if time <= end - WINDOW_S)])
    seconds = end - begin
    return sum(posts for time, posts in since if time > begin) / seconds


def format_duration(seconds: float) -> str:
    """`3:07`, or `2:00:41` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
