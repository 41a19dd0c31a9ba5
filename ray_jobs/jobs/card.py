"""`augmented/<arm>/README.md`: the data set card, written before the manifest that says an arm is finished."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from amia.report.attribution import Attribution
from amia.report.card import BARS, Card, SplitThetas
from ray_jobs.jobs.context import RunContext
from ray_jobs.stages.embed import Embed
from ray_jobs.stages.mix import Mix
from ray_jobs.storage.arm import Arm
from ray_jobs.storage.fingerprint import read_identity
from ray_jobs.storage.layout import readme_key, shard_key
from ray_jobs.storage.schemas import augmented_schema, card_features
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store

__all__ = ["publish_card"]

READS = 16
SHOWN = ("seed", "image", "clip", "triplet", "mixture", "generator")
"""Groups of settings that the card repeats; where models come from is said apart."""
NOT_SHOWN = ("model", "revision", "device")


def publish_card(job: RunContext, manifest: Mapping[str, Any]) -> None:
    """Write the card of the arm that `manifest` is of, unless one stands there."""
    folder = f"{Mix.name}/{manifest['arm']}"
    key = readme_key(folder)
    if job.store.exists(key):
        return
    thetas = {
        split: _thetas(job.store, [shard_key(folder, shard) for shard in job.plan.shards_of(split)])
        for split in job.plan.posts
    }
    card = Card(
        arm=manifest["arm"],
        splits=job.plan.posts,
        features=card_features(augmented_schema(job.plan.types)),
        thetas=thetas if any(sum(each.bars) for each in thetas.values()) else {},
        counts=manifest["counts"],
        ratio=manifest["ratio"],
        models=_models(job, manifest),
        size=manifest["identity"]["settings"]["image"]["size"],
        settings=_shown(manifest["settings"]),
    )
    job.store.create(key, card.render().encode())


def _thetas(store: Store, keys: Sequence[str]) -> SplitThetas:
    with ThreadPoolExecutor(READS) as pool:
        tables = list(pool.map(lambda key: read_shard(store, key, ["theta", "image_status"]), keys))
    theta = np.concatenate([table["theta"].to_numpy() for table in tables])
    own = np.concatenate([np.asarray(table["image_status"].to_pylist()) == "ok" for table in tables])
    bars, _ = np.histogram(theta[own], BARS, (0, 1))
    return SplitThetas(bars=[int(count) for count in bars], matched=int((theta[own] > 0.5).sum()))


def _models(job: RunContext, manifest: Mapping[str, Any]) -> list[Attribution]:
    """The encoder, where the run has compared anything, and the arm's generator."""
    models: list[Attribution] = []
    if (embedded := read_identity(job.store, Embed.name)) is not None:
        weights = embedded["settings"]["clip"]["weights"]
        models.append(Attribution(role="Encoder", name=manifest["settings"]["clip"]["model"], weights=weights))
    generator = Arm(job.store, manifest["arm"], dict(manifest)).generator
    return models if generator is None else [*models, generator]


def _shown(settings: Mapping[str, Any]) -> dict[str, Any]:
    def without_models(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {name: each for name, each in value.items() if name not in NOT_SHOWN}

    return {name: without_models(settings[name]) for name in SHOWN}
