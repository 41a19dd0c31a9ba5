"""The end of `amia demo`: how well theta separates matched from mismatched images, and what images are worth.

The demo corpus has a ground truth, so theta can be compared with it. The same recognizer is trained on several arms,
and its F1 on them is compared with that on the posts' own images.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, roc_auc_score

from amia.experiments.results import CellResult
from amia.experiments.significance import Difference, paired_bootstrap
from ray_jobs.jobs.context import open_context
from ray_jobs.jobs.evaluate import publish_scores, read_scored_posts
from ray_jobs.jobs.predict import predict
from ray_jobs.jobs.train import prepare_training
from ray_jobs.jobs.train_parallel import train_parallel
from ray_jobs.settings.job import Settings
from ray_jobs.storage.arm import open_arm
from ray_jobs.storage.layout import arm_folder, shard_key
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store

__all__ = ["ARMS", "RECOGNIZER", "SLICES", "ArmScores", "Separation", "compare_arms", "measure_separation"]

RECOGNIZER = "bert-resnet-crf"
ARMS = {
    "text": "no image",
    "original": "the posts' own images",
    "adaptive": "blended by theta",
    "two-sided": "blended by both thetas",
}
"""Arms that the recognizer is trained on, and the images that it receives."""
SLICES = ("all", "matched", "mismatched", "unseen", "ambiguous")
_BASELINE = "original"


@dataclass(frozen=True, slots=True, kw_only=True)
class Separation:
    """How well scores separate matched from mismatched images, over all posts with a usable image."""

    posts: int
    mismatched: float
    """Share of mismatched images, in [0, 1]."""
    theta_auc: float
    theta_accuracy: float
    """Share of posts on the right side of 0.5."""
    cosine_auc: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmScores:
    """Scores of the recognizer on one arm."""

    model: str
    """Name of the trained model in the run."""
    f1: Mapping[str, float]
    """Micro F1 in [0, 1] by slice of the test posts."""
    difference: Difference | None
    """This arm minus the posts' own images, over all test posts; None for these themselves."""

    def to_json(self) -> dict[str, Any]:
        """Return the scores as JSON types."""
        difference = self.difference and {
            "observed": self.difference.observed,
            "interval": [self.difference.low, self.difference.high],
            "p": self.difference.p,
        }
        return {"model": self.model, "f1": dict(self.f1), "minus_original": difference}


def measure_separation(run: str, truth_file: Path, arm: str) -> Separation:
    """Compare theta and the raw cosine of a finished arm with the ground truth of its demo corpus."""
    lines = truth_file.read_text(encoding="utf-8").splitlines()
    truth = {post["id"]: post["matched"] for post in map(json.loads, lines)}
    store = Store(run)
    plan = Plan.find(store)
    columns = ["id", "image_status", "theta", "cosine"]
    rows = [
        row
        for shard in (plan.shards if plan else [])
        for row in read_shard(store, shard_key(arm_folder(arm), shard), columns).to_pylist()
        if row["image_status"] == "ok" and truth[row["id"]] is not None
    ]
    matched = np.array([truth[row["id"]] for row in rows])
    theta, cosine = (np.array([row[name] for row in rows]) for name in ("theta", "cosine"))
    return Separation(
        posts=len(rows),
        mismatched=float(1 - matched.mean()),
        theta_auc=float(roc_auc_score(matched, theta)),
        theta_accuracy=float(accuracy_score(matched, theta > 0.5)),
        cosine_auc=float(roc_auc_score(matched, cosine)),
    )


def compare_arms(run: str, settings: Settings, *, quiet: bool) -> dict[str, ArmScores]:
    """Train the same recognizer on each arm of `ARMS`, and score it on the test split. Only missing parts are computed.

    Raises AmiaError.
    """
    context = open_context(run, settings, quiet=quiet)
    trainings = [prepare_training(context, RECOGNIZER, open_arm(context.store, arm)) for arm in ARMS]
    models = [result.name for result in train_parallel(context, trainings)]
    slices: dict[str, Mapping[str, float]] = {}
    counts = []
    for arm, model in zip(ARMS, models, strict=True):
        prediction = predict(run, settings, model=model, arm=arm, splits=["test"], quiet=True)
        posts = read_scored_posts(prediction)
        reports = publish_scores(prediction, "test", posts).lenient
        slices[arm] = {name: reports[name].micro.f1 for name in SLICES}
        seed = settings.training.seed
        result = CellResult.from_posts(posts, data="demo", recognizer=RECOGNIZER, arm=arm, seed=seed)
        counts.append(result.counts[None])  # [1, posts, 3]
    baseline = list(ARMS).index(_BASELINE)
    differences = paired_bootstrap(counts, [(index, baseline) for index in range(len(ARMS))])
    return {
        arm: ArmScores(model=model, f1=slices[arm], difference=None if arm == _BASELINE else difference)
        for arm, model, difference in zip(ARMS, models, differences, strict=True)
    }
