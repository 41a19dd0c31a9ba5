"""The driver's part of the measure: the bank of negatives before scoring, the mixture after it.

Both are fixed once, published under `mixture/`, and never change: `mixture.json` and `bank.safetensors` are also what
`--mixture` takes from another run.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from amia.errors import MixtureError
from amia.matching.bank import Bank
from amia.matching.gmm import MixtureSettings
from amia.matching.gmm_fit import DIRECT_LIMIT, MixtureFit, fit_histogram, fit_mixture
from amia.matching.histogram import BINS, LossHistogram
from amia.matching.model import BANK_FILE, MIXTURE_FILE, MatchingModel, fit_groups
from amia.matching.triplet import TripletSettings
from ray_jobs.storage.embeddings import read_embeddings
from ray_jobs.storage.layout import EMBEDDINGS, POSTS, shard_key
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import ShardMetadata, read_all_metadata, read_shard
from ray_jobs.storage.store import Store

__all__ = ["FOLDER", "bank_shards", "build_bank", "count_with_image", "fit_losses", "mean_theta", "read_matching_model"]

FOLDER = "mixture"


def count_with_image(store: Store, shards: Sequence[str]) -> list[int]:
    """How many posts of each shard have a usable image."""
    return [
        each.counts.get("image=ok", 0)
        for each in read_all_metadata(store, [shard_key(POSTS, shard) for shard in shards])
    ]


def bank_shards(store: Store, plan: Plan, size: int) -> list[str]:
    """The first shards of the fitting splits that hold `size` posts with an image, or all of these splits."""
    shards = [shard for split in plan.fit_splits() for shard in plan.shards_of(split)]
    held = np.cumsum(count_with_image(store, shards))
    return shards[: int(np.searchsorted(held, size)) + 1]


def build_bank(store: Store, shards: Sequence[str], size: int) -> bytes:
    """The bank as a file: the first `size` posts with an image, in the plan's order."""
    parts = [read_embeddings(read_shard(store, shard_key(EMBEDDINGS, shard)))[0] for shard in shards]
    return Bank.of(parts, size).to_bytes()


def fit_losses(
    store: Store,
    plan: Plan,
    bank: Bank,
    encoder: str,
    triplet: TripletSettings,
    settings: MixtureSettings,
    scores: str,
) -> MatchingModel:
    """Eq. 8 on the losses in folder `scores`: directly up to a million of them, on their histogram beyond."""
    scored = [split for split in sorted(plan.posts) if sum(count_with_image(store, plan.shards_of(split)))]
    groups = fit_groups(settings.fit_on, scored)
    fits = {name: _fit(store, _keys(plan, splits, scores), triplet.margin, settings) for name, splits in groups.items()}
    facts = read_all_metadata(store, _keys(plan, plan.fit_splits(), scores))
    ranges = [each.extra["cosine"] for each in facts if each.extra["cosine"]]
    cosine_range = (min(low for low, _ in ranges), max(high for _, high in ranges))
    return MatchingModel(fits, bank, {"encoder": encoder}, triplet, cosine_range)


def read_matching_model(store: Store, folder: str = FOLDER) -> MatchingModel | None:
    """A frozen mixture and its bank, the run's own by default; None before the fit."""
    if not store.exists(f"{folder}/{MIXTURE_FILE}"):
        return None
    about, bank = store.read(f"{folder}/{MIXTURE_FILE}"), store.read(f"{folder}/{BANK_FILE}")
    return MatchingModel.from_bytes(about, bank, where=f"{store.address}/{folder}/{MIXTURE_FILE}")


def mean_theta(store: Store, plan: Plan, frozen: MatchingModel, scores: str) -> float:
    """Mean of theta over the posts that bank and fit stand on, from the losses' histograms: within 5e-4."""
    centers = LossHistogram(frozen.triplet.margin).centers
    total, posts = 0.0, 0
    for split in plan.fit_splits():
        counts = _histogram(read_all_metadata(store, _keys(plan, [split], scores)))
        filled = np.flatnonzero(counts)
        if len(filled):  # a split without any image has no mixture of its own
            total += float(counts[filled] @ frozen.theta(centers[filled], split))
            posts += int(counts.sum())
    return total / posts


def _fit(store: Store, keys: Sequence[str], margin: float, settings: MixtureSettings) -> MixtureFit:
    counts = _histogram(read_all_metadata(store, keys))
    if counts.sum() > DIRECT_LIMIT:
        return fit_histogram(counts, LossHistogram(margin), settings)
    columns = [read_shard(store, key, ["loss"])["loss"] for key in keys]
    losses = np.concatenate([column.drop_null().to_numpy() for column in columns])
    if not len(losses):
        raise MixtureError("no post with an image to fit the mixture on")
    return fit_mixture(losses, settings)


def _histogram(facts: Sequence[ShardMetadata]) -> NDArray[np.int64]:
    counts = np.zeros(BINS, np.int64)
    for each in facts:
        counts[each.extra["histogram"]["bins"]] += each.extra["histogram"]["counts"]
    return counts


def _keys(plan: Plan, splits: Iterable[str], folder: str) -> list[str]:
    return [shard_key(folder, shard) for split in splits for shard in plan.shards_of(split)]
