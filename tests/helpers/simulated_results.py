"""Simulated results of recognizers: each finds a gold span with a given probability."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amia.experiments.results import CellResult, DatasetInfo
from amia.experiments.run_specs import RunSpec, run_specs

TWITTER_2015 = {"train": 4000, "validation": 1000, "test": 3257}
TWITTER_2017 = {"train": 3373, "validation": 723, "test": 723}
POSTS = 120


def dataset_info(**overrides: Any) -> DatasetInfo:
    """Data set and models of the paper, by default."""
    defaults: dict[str, Any] = {
        "posts": TWITTER_2017,
        "text_encoder": "google-bert/bert-base-cased",
        "visual_encoder": "microsoft/resnet-152",
        "clip": "openai/clip-vit-base-patch16",
        "generator": "stabilityai/sdxl-turbo",
    }
    return DatasetInfo(**defaults | overrides)


def random_counts(
    rng: np.random.Generator, gold: NDArray[np.int64], recall: float, seeds: int = 1
) -> NDArray[np.int64]:
    """Return span counts [seeds, posts, 3]: each gold span is found with probability `recall`, plus false ones."""
    true_positives = rng.binomial(gold, recall, size=(seeds, len(gold)))
    predicted = true_positives + rng.binomial(1, 0.3, size=true_positives.shape)
    return np.stack([true_positives, predicted, np.broadcast_to(gold, true_positives.shape)], axis=-1)


def make_cell(counts: Sequence[Sequence[int]] | NDArray[np.int64], **overrides: Any) -> CellResult:
    """Return one cell; by default every post has an image and a theta of 0.9."""
    posts = len(counts)
    defaults: dict[str, Any] = {
        "data": "tweets",
        "recognizer": "umt",
        "arm": "adaptive",
        "seed": 0,
        "swapped": False,
        "ids": tuple(f"post-{index}" for index in range(posts)),
        "theta": np.full(posts, 0.9),
        "has_image": np.ones(posts, bool),
    }
    return CellResult(counts=np.array(counts, np.int64).reshape(posts, 3), **defaults | overrides)


def make_cells(
    recognizers: Sequence[str],
    text_systems: Sequence[str],
    seeds: Sequence[int],
    tables: Sequence[str],
    *,
    data: str = "tweets",
    improvement: float = 0.0,
) -> list[CellResult]:
    """Return every cell that the tables require; `adaptive` (not swapped) has a recall higher by `improvement`."""
    rng = np.random.default_rng(7)
    gold, theta = rng.integers(0, 4, POSTS), rng.random(POSTS)
    has_image = rng.random(POSTS) < 0.9
    runs = dict.fromkeys(run for table in tables for run in run_specs(table, recognizers, text_systems))
    return [
        make_cell(
            random_counts(rng, gold, 0.6 + improvement * (run == RunSpec(run.recognizer, "adaptive")))[0],
            data=data,
            recognizer=run.recognizer,
            arm=run.arm,
            swapped=run.swapped,
            seed=seed,
            theta=np.where(has_image, theta, np.nan),
            has_image=has_image,
        )
        for run in runs
        for seed in seeds
    ]
