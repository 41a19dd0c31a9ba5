"""Results of recognizers that were never trained: each finds a gold span with a chance of its own."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amia.experiments.results import CellResult, DatasetInfo
from amia.experiments.run_specs import RunSpec, run_specs

TWITTER_2015 = {"train": 4000, "validation": 1000, "test": 3257}
TWITTER_2017 = {"train": 3373, "validation": 723, "test": 723}
POSTS = 120


def facts(**other: Any) -> DatasetInfo:
    """The paper's data and models, unless said otherwise."""
    paper: dict[str, Any] = {
        "posts": TWITTER_2017,
        "text_encoder": "google-bert/bert-base-cased",
        "visual_encoder": "microsoft/resnet-152",
        "clip": "openai/clip-vit-base-patch16",
        "generator": "stabilityai/sdxl-turbo",
    }
    return DatasetInfo(**paper | other)


def drawn_counts(rng: np.random.Generator, gold: NDArray[np.int64], found: float, seeds: int = 1) -> NDArray[np.int64]:
    """[seeds, posts, 3]: each gold span is right with the chance `found`; now and then a wrong one is predicted."""
    right = rng.binomial(gold, found, size=(seeds, len(gold)))
    predicted = right + rng.binomial(1, 0.3, size=right.shape)
    return np.stack([right, predicted, np.broadcast_to(gold, right.shape)], axis=-1)


def cell(counts: Sequence[Sequence[int]] | NDArray[np.int64], **other: Any) -> CellResult:
    """One cell; every post has an image, and a theta of 0.9, unless said otherwise."""
    posts = len(counts)
    usual: dict[str, Any] = {
        "data": "tweets",
        "recognizer": "umt",
        "arm": "adaptive",
        "seed": 0,
        "swapped": False,
        "ids": tuple(f"post-{place}" for place in range(posts)),
        "theta": np.full(posts, 0.9),
        "has_image": np.ones(posts, bool),
    }
    return CellResult(counts=np.array(counts, np.int64).reshape(posts, 3), **usual | other)


def grid_of_cells(
    recognizers: Sequence[str],
    text_systems: Sequence[str],
    seeds: Sequence[int],
    tables: Sequence[str],
    *,
    data: str = "tweets",
    better: float = 0.0,
) -> list[CellResult]:
    """Every cell that the tables need; `adaptive` (not swapped) finds a share `better` more than all others."""
    rng = np.random.default_rng(7)
    gold, theta = rng.integers(0, 4, POSTS), rng.random(POSTS)
    has_image = rng.random(POSTS) < 0.9
    wanted = dict.fromkeys(need for table in tables for need in run_specs(table, recognizers, text_systems))
    return [
        cell(
            drawn_counts(rng, gold, 0.6 + better * (need == RunSpec(need.recognizer, "adaptive")))[0],
            data=data,
            recognizer=need.recognizer,
            arm=need.arm,
            swapped=need.swapped,
            seed=seed,
            theta=np.where(has_image, theta, np.nan),
            has_image=has_image,
        )
        for need in wanted
        for seed in seeds
    ]
