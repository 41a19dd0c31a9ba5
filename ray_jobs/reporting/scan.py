"""First pass over an arm: read all columns except images, count posts, and select the posts to show."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from amia.mixing.arms import needs_theta_synthesized
from amia.posts import ordered_splits
from amia.report.sampling import BottomK, DecileSample, seeded_key
from amia.report.view_models import ThetaHistogram
from amia.utils.prefetch import prefetch_map
from ray_jobs.storage.arm import Arm
from ray_jobs.storage.layout import arm_folder, shard_key
from ray_jobs.storage.plan import parse_shard_name
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.status import is_failure

__all__ = [
    "MAX_EXAMPLES",
    "NUM_EXTREMES",
    "POSTS_PER_DECILE",
    "PostKey",
    "PostRef",
    "ScanResult",
    "scan_arm",
]

BASE_COLUMNS = ("id", "split", "theta", "ratio", "loss", "cosine", "image_status", "synthesis_status")
THETA_BINS = 20
THREADS = 8

POSTS_PER_DECILE = 6
"""Posts shown for each tenth of theta, and for each group of posts without theta."""
NUM_EXTREMES = 4
"""Posts shown at each end of theta and of the loss."""
MAX_EXAMPLES = 4
"""Posts shown for each reason of failure."""
MAX_REASONS = 40

PostKey = tuple[str, int]
"""Shard and row of a post."""


@dataclass(slots=True)
class ThetaCounts:
    """Posts by theta, of one of their images, for each split."""

    bins: dict[str, np.ndarray] = field(default_factory=dict)
    """Posts in THETA_BINS bins."""
    matched: Counter[str] = field(default_factory=Counter)
    """Posts with theta above 0.5."""

    def add(self, split: str, theta: float) -> None:
        """Add one post."""
        bins = self.bins.setdefault(split, np.zeros(THETA_BINS, np.int64))
        bins[min(THETA_BINS - 1, int(theta * THETA_BINS))] += 1
        self.matched[split] += theta > 0.5

    def histograms(self) -> list[ThetaHistogram]:
        """Return the distribution of theta by split."""
        return [
            ThetaHistogram(split=split, counts=self.bins[split].tolist(), matched=self.matched[split])
            for split in ordered_splits(self.bins)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostRef:
    """A post without text and images, and its location."""

    shard: str
    row: int
    id: str
    split: str
    theta: float | None = None
    theta_synthesized: float | None = None
    ratio: float | None = None
    loss: float | None = None
    cosine: float | None = None
    image_status: str = "ok"
    synthesis_status: str = "ok"

    @property
    def key(self) -> PostKey:
        """Shard and row."""
        return self.shard, self.row


def _decile_sample() -> DecileSample[PostRef]:
    return DecileSample(POSTS_PER_DECILE, NUM_EXTREMES, ("theta", "loss"))


def _group_sample() -> BottomK[PostRef]:
    return BottomK(POSTS_PER_DECILE)


@dataclass(slots=True)
class ScanResult:
    """Counts and selected posts; its size does not depend on the size of the run."""

    posts: int = 0
    splits: Counter[str] = field(default_factory=Counter)
    thetas: ThetaCounts = field(default_factory=ThetaCounts)
    """Posts with a loss."""
    thetas_synthesized: ThetaCounts = field(default_factory=ThetaCounts)
    """Posts with a score of their synthesized image."""
    sample: DecileSample[PostRef] = field(default_factory=_decile_sample)
    """Sample of the posts with a loss."""
    unusable: BottomK[PostRef] = field(default_factory=_group_sample)
    """Posts without a valid image."""
    unscored: BottomK[PostRef] = field(default_factory=_group_sample)
    """Posts with a valid image but without a loss."""
    failures: dict[str, BottomK[PostRef]] = field(default_factory=dict)
    """By status, as in the footer of a shard: `image=bad_image(truncated)`."""

    def add(self, shard: str, rows: list[dict[str, Any]], seed: int) -> None:
        """Add the rows of one shard."""
        # The posts of a split are ordered by a keyed hash of their ids, so its first shards are a random sample.
        # Selecting from these means that only few shards of images are read.
        _, index = parse_shard_name(shard)
        for number, row in enumerate(rows):
            post = PostRef(shard=shard, row=number, **row)
            key = (index, seeded_key(seed, post.id), post.id)
            self.posts += 1
            self.splits[post.split] += 1
            if post.theta_synthesized is not None:
                self.thetas_synthesized.add(post.split, post.theta_synthesized)
            if post.loss is not None and post.theta is not None:
                self.thetas.add(post.split, post.theta)
                self.sample.add(key, post.theta, {"theta": post.theta, "loss": post.loss}, post)
            elif post.image_status == "ok":
                self.unscored.add(key, post)
            else:
                self.unusable.add(key, post)
            for status in _failures(post):
                if status in self.failures or len(self.failures) < MAX_REASONS:
                    self.failures.setdefault(status, BottomK(MAX_EXAMPLES)).add(key, post)

    def selected_posts(self) -> list[PostRef]:
        """Return all posts whose text and images are shown."""
        samples = [*self.sample.deciles, *self.sample.extremes.values(), self.unusable, self.unscored]
        samples += self.failures.values()
        return list({post.key: post for sample in samples for post in sample.items}.values())


def scan_arm(arm: Arm, seed: int) -> ScanResult:
    """Read all shards of an arm once."""
    result = ScanResult()
    columns = (*BASE_COLUMNS, "theta_synthesized") if needs_theta_synthesized(arm.name) else BASE_COLUMNS
    shards = [file["name"].removesuffix(".parquet") for file in arm.manifest["files"]]

    def read(shard: str) -> tuple[str, list[dict[str, Any]]]:
        return shard, read_shard(arm.store, shard_key(arm_folder(arm.name), shard), columns).to_pylist()

    for shard, rows in prefetch_map(read, shards, threads=THREADS):
        result.add(shard, rows, seed)
    return result


def _failures(post: PostRef) -> Iterator[str]:
    if is_failure(post.image_status):
        yield f"image={post.image_status}"
    if is_failure(post.synthesis_status) or post.synthesis_status == "no_prompt":
        yield f"synthesis={post.synthesis_status}"
