"""What the footers of shards say of their rows, by folder: counts by status, and values for the driver.

Stages publish them with new shards, and `amia remove` with shards that have lost rows.
"""

from collections import Counter
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa

from amia.matching.histogram import LossHistogram, count_thetas

__all__ = [
    "Footer",
    "describe_augmented",
    "describe_embeddings",
    "describe_posts",
    "describe_predictions",
    "describe_scores",
    "describe_synthesized",
    "describe_synthesized_scores",
]


class Footer(TypedDict):
    """Arguments `counts` and `extra` of `ray_jobs.storage.shards.encode`."""

    counts: Counter[str]
    extra: dict[str, Any]


def describe_posts(table: pa.Table) -> Footer:
    """Count posts by image status."""
    return Footer(counts=Counter(f"image={status}" for status in table["image_status"].to_pylist()), extra={})


def describe_embeddings(table: pa.Table) -> Footer:
    """Return the number of posts with both vectors."""
    return Footer(counts=Counter(), extra={"with_image": table.num_rows - table["image_vector"].null_count})


def describe_scores(table: pa.Table, margin: float) -> Footer:
    """Return the histogram of the losses, integer counts that add up exactly over shards, and the range of cosines.

    `margin` is that of the losses.
    """
    total = table["loss"].drop_null().to_numpy()
    cosine = table["cosine"].drop_null().to_numpy()
    counts = LossHistogram(margin).counts(total)
    filled = np.flatnonzero(counts)
    histogram = {"bins": filled.tolist(), "counts": counts[filled].tolist()}
    limits = [float(cosine.min()), float(cosine.max())] if len(cosine) else None
    return Footer(counts=Counter(), extra={"histogram": histogram, "cosine": limits})


def describe_synthesized(table: pa.Table, redraws: int) -> Footer:
    """Count posts by synthesis status. `redraws`: images that were unusable and generated again."""
    statuses = table["synthesis_status"].to_pylist()
    return Footer(counts=Counter(f"synthesis={status}" for status in statuses), extra={"redraws": redraws})


def describe_synthesized_scores(table: pa.Table) -> Footer:
    """Return the number of posts whose synthesized image is scored."""
    return Footer(counts=Counter(), extra={"scored": table.num_rows - table["image_vector"].null_count})


def describe_augmented(table: pa.Table) -> Footer:
    """Count posts by pair of statuses, kind of image and theta."""
    pairs = zip(table["image_status"].to_pylist(), table["synthesis_status"].to_pylist(), strict=True)
    ratios = Counter(
        "none" if ratio is None else "blend" if 0 < ratio < 1 else f"{ratio:.0f}"
        for ratio in table["ratio"].to_pylist()
    )
    counts = Counter(f"image={image}|synthesis={synthesis}" for image, synthesis in pairs)
    return Footer(counts=counts, extra={"ratio": dict(sorted(ratios.items())), **_count_thetas(table)})


def _count_thetas(table: pa.Table) -> dict[str, dict[str, list[int]]]:
    """Return the histograms of theta, and of theta_V if the arm has it, over the posts that have such an image."""
    is_usable = [status == "ok" for status in table["image_status"].to_pylist()]
    thetas = [theta for theta, usable in zip(table["theta"].to_pylist(), is_usable, strict=True) if usable]
    histograms = {"theta": count_thetas(thetas)}
    if "theta_synthesized" in table.column_names:
        histograms["theta_synthesized"] = count_thetas(table["theta_synthesized"].drop_null().to_pylist())
    return histograms


def describe_predictions(table: pa.Table) -> Footer:
    """Count posts that were predicted with and without an image, and entities by type."""
    entities = Counter(span["type"] for spans in table["spans"].to_pylist() for span in spans)
    seen = Counter(f"image={'none' if post is None else 'seen'}" for post in table["seen"].to_pylist())
    return Footer(counts=seen, extra={"entities": dict(sorted(entities.items()))})
