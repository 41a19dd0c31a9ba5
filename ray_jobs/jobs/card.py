"""`augmented/<arm>/README.md`: the data set card, written before the manifest that marks an arm as complete."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from amia.mixing.arms import needs_theta_synthesized
from amia.report.attribution import Attribution
from amia.report.card import THETA_BINS, Card
from amia.report.view_models import ThetaHistogram
from ray_jobs.jobs.context import RunContext
from ray_jobs.storage.arm import Arm
from ray_jobs.storage.fingerprint import read_identity
from ray_jobs.storage.layout import EMBEDDINGS, arm_folder, readme_key, shard_keys
from ray_jobs.storage.schemas import augmented_schema, card_features
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store

__all__ = ["publish_card"]

READ_THREADS = 16
SETTINGS_GROUPS = ("seed", "image", "clip", "triplet", "mixture", "generator")
"""Groups of settings in the card."""
HIDDEN_SETTINGS = ("model", "revision", "device")
"""Settings left out of these groups: the card has a section about the models."""


def publish_card(job: RunContext, manifest: Mapping[str, Any]) -> None:
    """Write the card of the arm of `manifest`, unless it exists."""
    folder = arm_folder(manifest["arm"])
    key = readme_key(folder)
    if job.store.exists(key):
        return
    is_two_sided = needs_theta_synthesized(manifest["arm"])
    card = Card(
        arm=manifest["arm"],
        splits=job.plan.posts,
        features=card_features(augmented_schema(job.plan.types, theta_synthesized=is_two_sided)),
        thetas=_theta_histograms(job, folder, "theta"),
        thetas_synthesized=_theta_histograms(job, folder, "theta_synthesized") if is_two_sided else {},
        counts=manifest["counts"],
        ratio=manifest["ratio"],
        models=_models(job, manifest),
        size=manifest["identity"]["settings"]["image"]["size"],
        settings={group: _without_models(manifest["settings"][group]) for group in SETTINGS_GROUPS},
    )
    job.store.create(key, card.render().encode())


def _theta_histograms(job: RunContext, folder: str, column: str) -> dict[str, ThetaHistogram]:
    """Return the histogram of `theta` or `theta_synthesized` by split; nothing if no post has such an image."""
    histograms = {
        split: _theta_histogram(job.store, split, shard_keys(folder, job.plan.shards_of(split)), column)
        for split in job.plan.posts
    }
    return histograms if any(histogram.total for histogram in histograms.values()) else {}


def _theta_histogram(store: Store, split: str, keys: Sequence[str], column: str) -> ThetaHistogram:
    """Compute the histogram of a column over the posts of a split that have such an image."""
    with ThreadPoolExecutor(READ_THREADS) as pool:
        tables = list(pool.map(lambda key: read_shard(store, key, [column, "image_status"]), keys))
    theta = np.concatenate([table[column].to_numpy() for table in tables])  # nan for null
    has_image = ~np.isnan(theta)
    if column == "theta":  # is 0 for posts without an image
        has_image &= np.concatenate([np.asarray(table["image_status"].to_pylist()) == "ok" for table in tables])
    counts, _ = np.histogram(theta[has_image], THETA_BINS, (0, 1))
    return ThetaHistogram(split=split, counts=counts.tolist(), matched=int((theta[has_image] > 0.5).sum()))


def _models(job: RunContext, manifest: Mapping[str, Any]) -> list[Attribution]:
    """Return the encoder, if the run has embedded posts, and the generator of the arm."""
    models: list[Attribution] = []
    if (embeddings := read_identity(job.store, EMBEDDINGS)) is not None:
        weights = embeddings["settings"]["clip"]["weights"]
        models.append(Attribution(role="Encoder", name=manifest["settings"]["clip"]["model"], weights=weights))
    generator = Arm(job.store, manifest["arm"], dict(manifest)).generator
    return models if generator is None else [*models, generator]


def _without_models(group: Any) -> Any:
    if not isinstance(group, Mapping):
        return group
    return {name: value for name, value in group.items() if name not in HIDDEN_SETTINGS}
