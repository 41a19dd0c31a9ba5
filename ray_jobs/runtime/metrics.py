"""What actors count for Ray's own metrics, which Prometheus collects from every node of a cluster."""

from collections.abc import Mapping, Sequence

from ray.util.metrics import Counter, Histogram

__all__ = ["StageCounters"]

SECONDS = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0]
"""Upper bounds of the histogram's buckets."""


class StageCounters:
    """One actor's counts of one stage.

    As Ray names them: `ray_amia_posts_total{stage}`, `ray_amia_failed_posts_total{stage, reason}` and
    `ray_amia_shard_seconds{stage, part}`, a histogram of the seconds that a shard took to `load`, `run` and `publish`.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._posts = Counter("amia_posts", "Posts in published shards", ("stage",))
        self._failed = Counter("amia_failed_posts", "Posts whose image or synthesis failed", ("stage", "reason"))
        self._seconds = Histogram("amia_shard_seconds", "Seconds a shard", SECONDS, ("stage", "part"))

    def count(self, posts: int, failures: Mapping[str, Sequence[str]], seconds: Mapping[str, float]) -> None:
        """A published shard: its posts, ids of those that failed by reason, and seconds by part."""
        self._posts.inc(posts, {"stage": self._stage})
        for reason, ids in failures.items():
            self._failed.inc(len(ids), {"stage": self._stage, "reason": reason})
        for part, value in seconds.items():
            self._seconds.observe(value, {"stage": self._stage, "part": part})
