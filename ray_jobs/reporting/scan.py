"""The first look at an arm: every post's figures, without pixels, and the choice of posts to show."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from amia.posts import ordered_splits
from amia.report.sampling import BottomK, DecileSample, keyed
from amia.report.view_models import SplitThetas
from amia.utils.prefetch import prefetch_map
from ray_jobs.storage.arm import Arm
from ray_jobs.storage.layout import arm_folder, shard_key
from ray_jobs.storage.plan import parse_shard_name
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.status import is_failure

__all__ = ["THETA_BARS", "PostRef", "ScanResult", "scan_arm"]

COLUMNS = ("id", "split", "theta", "ratio", "loss", "cosine", "image_status", "synthesis_status")
THETA_BARS = 20
THREADS = 8

A_DECILE = 6
"""Posts shown of each tenth of theta, and of those that have none."""
EXTREMES = 4
"""Posts shown at each end of theta and of the loss."""
EXAMPLES = 4
"""Posts shown of each reason of failure."""
MOST_REASONS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class PostRef:
    """A post, and where it stands."""

    shard: str
    row: int
    id: str
    split: str
    theta: float | None = None
    ratio: float | None = None
    loss: float | None = None
    cosine: float | None = None
    image_status: str = "ok"
    synthesis_status: str = "ok"

    @property
    def key(self) -> tuple[str, int]:
        """Shard and row."""
        return self.shard, self.row


def _sample() -> DecileSample[PostRef]:
    return DecileSample(A_DECILE, EXTREMES, ("theta", "loss"))


def _few() -> BottomK[PostRef]:
    return BottomK(A_DECILE)


@dataclass(slots=True)
class ScanResult:
    """What one pass over the arm's columns has found; grows with what is shown, not with the run."""

    posts: int = 0
    splits: Counter[str] = field(default_factory=Counter)
    thetas: dict[str, np.ndarray] = field(default_factory=dict)
    """By split, posts that have a loss, in THETA_BARS bars of theta."""
    matched: Counter[str] = field(default_factory=Counter)
    """By split, those with theta above 0.5."""
    sample: DecileSample[PostRef] = field(default_factory=_sample)
    """Of the posts that have a loss."""
    unusable: BottomK[PostRef] = field(default_factory=_few)
    """Posts without an image, or with a broken one."""
    unscored: BottomK[PostRef] = field(default_factory=_few)
    """Posts with an image that was compared with nothing."""
    failures: dict[str, BottomK[PostRef]] = field(default_factory=dict)
    """By status, as in a shard's footer: `image=bad_image(truncated)`."""

    def split_thetas(self) -> list[SplitThetas]:
        """theta by split, as the page shows it."""
        return [
            SplitThetas(split=split, posts=self.thetas[split].tolist(), matched=self.matched[split])
            for split in ordered_splits(self.thetas)
        ]

    def take(self, shard: str, rows: list[dict[str, Any]], seed: int) -> None:
        """The rows of one shard."""
        # A split's shards are in the order of a keyed hash of the ids, so its first ones are a sample already: posts
        # are chosen from those, and the images of few shards have to be fetched.
        _, index = parse_shard_name(shard)
        for number, row in enumerate(rows):
            place = PostRef(shard=shard, row=number, **row)
            key = (index, keyed(seed, place.id), place.id)
            self.posts += 1
            self.splits[place.split] += 1
            if place.loss is not None and place.theta is not None:
                self._count(place, place.theta)
                values = {"theta": place.theta, "loss": place.loss}
                self.sample.offer(key, place.theta, values, place)
            elif place.image_status == "ok":
                self.unscored.offer(key, place)
            else:
                self.unusable.offer(key, place)
            for status in _failures(place):
                if status in self.failures or len(self.failures) < MOST_REASONS:
                    self.failures.setdefault(status, BottomK(EXAMPLES)).offer(key, place)

    def _count(self, place: PostRef, theta: float) -> None:
        bars = self.thetas.setdefault(place.split, np.zeros(THETA_BARS, np.int64))
        bars[min(THETA_BARS - 1, int(theta * THETA_BARS))] += 1
        self.matched[place.split] += theta > 0.5


def scan_arm(arm: Arm, seed: int) -> ScanResult:
    """One pass over all of an arm's shards."""
    looked = ScanResult()
    names = [each["name"].removesuffix(".parquet") for each in arm.manifest["files"]]

    def read(shard: str) -> tuple[str, list[dict[str, Any]]]:
        return shard, read_shard(arm.store, shard_key(arm_folder(arm.name), shard), COLUMNS).to_pylist()

    for shard, rows in prefetch_map(read, names, threads=THREADS):
        looked.take(shard, rows, seed)
    return looked


def _failures(place: PostRef) -> Iterator[str]:
    if is_failure(place.image_status):
        yield f"image={place.image_status}"
    if is_failure(place.synthesis_status) or place.synthesis_status == "no_prompt":
        yield f"synthesis={place.synthesis_status}"
