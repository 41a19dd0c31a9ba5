"""How fast a stage goes, from the times at which its shards were published: nobody has to keep count."""

from collections.abc import Sequence

__all__ = ["clock", "pace"]

WINDOW_S = 600.0
LEAST_SHARDS = 4
SILENCE_S = 60.0


def pace(published: Sequence[tuple[float, int]], started: float, now: float) -> float | None:
    """Posts a second of late; None where nothing was published since the execution `started`.

    `published`: of each shard the time at which it was written, in seconds, and its posts. Counts the last ten minutes,
    or the last four shards where these took longer, but nothing before `started`. A minute without a shard is not held
    against the stage, since actors that began together end together; a longer one is.
    """
    since = sorted((time, posts) for time, posts in published if time > started)
    if not since:
        return None
    end = max(since[-1][0], now - SILENCE_S)
    begin = max(started, end - WINDOW_S)
    if len([time for time, _ in since if time > begin]) < LEAST_SHARDS:
        # The shard before the last four ends where they begin.
        begin = since[-LEAST_SHARDS - 1][0] if len(since) > LEAST_SHARDS else started
    seconds = end - begin
    return sum(posts for time, posts in since if time > begin) / seconds if seconds > 0 else None


def clock(seconds: float) -> str:
    """`3:07`, or `2:00:41` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
