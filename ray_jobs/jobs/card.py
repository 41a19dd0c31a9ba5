"""`augmented/<arm>/README.md`: the data set card, written before the manifest that marks an arm as complete."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from amia.matching.histogram import count_thetas
from amia.mixing.arms import needs_synthesis, needs_theta_synthesized
from amia.report.attribution import Attribution
from amia.report.card import Card
from amia.report.view_models import ThetaHistogram
from ray_jobs.storage.arm import Arm
from ray_jobs.storage.facts import ShardFacts
from ray_jobs.storage.fingerprint import read_identity
from ray_jobs.storage.layout import EMBEDDINGS, arm_folder, shard_keys
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.removed_images import read_removed_images
from ray_jobs.storage.schemas import augmented_schema, card_features
from ray_jobs.storage.shards import read_shards
from ray_jobs.storage.store import Store

__all__ = ["render_card"]

SETTINGS_GROUPS = ("seed", "image", "clip", "triplet", "mixture", "generator")
"""Groups of settings in the card."""
HIDDEN_SETTINGS = ("model", "revision", "device")
"""Settings left out of these groups: the card has a section about the models."""


def render_card(store: Store, facts: ShardFacts, plan: Plan, manifest: Mapping[str, Any]) -> bytes:
    """Return the card of the arm of `manifest`, with the present state of the run: what was removed from it."""
    folder = arm_folder(manifest["arm"])
    is_two_sided = needs_theta_synthesized(manifest["arm"])
    card = Card(
        arm=manifest["arm"],
        splits=plan.posts,
        features=card_features(augmented_schema(plan.types, theta_synthesized=is_two_sided)),
        thetas=_theta_histograms(store, facts, plan, folder, "theta"),
        thetas_synthesized=_theta_histograms(store, facts, plan, folder, "theta_synthesized") if is_two_sided else {},
        counts=manifest["counts"],
        ratio=manifest["ratio"],
        models=_models(store, manifest),
        size=manifest["identity"]["settings"]["image"]["size"],
        settings={group: _without_models(manifest["settings"][group]) for group in SETTINGS_GROUPS},
        removed=_removed(store, plan, manifest["arm"]),
    )
    return card.render().encode()


def _removed(store: Store, plan: Plan, arm: str) -> list[str]:
    """Describe what was removed from the run on purpose."""
    notes = []
    if plan.removal is not None and plan.removal.total:
        notes.append(
            f"{plan.removal.total:,} posts were removed from the corpus after it was ingested (`amia remove`). Copies "
            "and recognizers made before may hold them."
        )
    if needs_synthesis(arm) and read_removed_images(store) is not None:
        notes.append(
            "The synthesized images alone were removed once all arms were mixed. `amia augment --run RUN --arm "
            f"{arm} --synthesize-again` makes the same ones."
        )
    return notes


def _theta_histograms(
    store: Store, facts: ShardFacts, plan: Plan, folder: str, column: str
) -> dict[str, ThetaHistogram]:
    """Return the histogram of `theta` or `theta_synthesized` by split; nothing if no post has such an image."""
    histograms = {
        split: _theta_histogram(store, facts, folder, split, plan.shards_of(split), column) for split in plan.posts
    }
    return histograms if any(histogram.total for histogram in histograms.values()) else {}


def _theta_histogram(
    store: Store, facts: ShardFacts, folder: str, split: str, shards: Sequence[str], column: str
) -> ThetaHistogram:
    """Sum the histograms of a column in the footers of a split. Earlier versions of amia wrote footers without them."""
    parts: list[Any] = [footer.extra.get(column) for footer in facts.metadata(folder, shards)]
    if None in parts:
        tables = read_shards(store, shard_keys(folder, shards), [column, "image_status"], facts.sizes(folder))
        parts = [_count_column(table, column) for table in tables]
    bins, matched = (np.sum([part[name] for part in parts], axis=0).tolist() for name in ("bins", "matched"))
    return ThetaHistogram(split=split, counts=bins, matched=matched[0])


def _count_column(table: pa.Table, column: str) -> dict[str, list[int]]:
    """Count the thetas of the posts of a shard that have such an image."""
    theta = table[column].to_numpy()  # nan for null
    has_image = ~np.isnan(theta)
    if column == "theta":  # is 0 for posts without an image
        has_image &= np.asarray(table["image_status"].to_pylist()) == "ok"
    return count_thetas(theta[has_image])


def _models(store: Store, manifest: Mapping[str, Any]) -> list[Attribution]:
    """Return the encoder, if the run has embedded posts, and the generator of the arm."""
    models: list[Attribution] = []
    if (embeddings := read_identity(store, EMBEDDINGS)) is not None:
        weights = embeddings["settings"]["clip"]["weights"]
        models.append(Attribution(role="Encoder", name=manifest["settings"]["clip"]["model"], weights=weights))
    generator = Arm(store, manifest["arm"], dict(manifest)).generator
    return models if generator is None else [*models, generator]


def _without_models(group: Any) -> Any:
    if not isinstance(group, Mapping):
        return group
    return {name: value for name, value in group.items() if name not in HIDDEN_SETTINGS}
