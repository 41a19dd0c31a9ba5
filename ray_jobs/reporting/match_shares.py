"""Shares of images that match their texts, by split, from the stored losses and the frozen mixture of a run."""

import numpy as np

from amia.experiments.match_shares import MatchShares, Share
from amia.matching.model import MatchingModel
from ray_jobs.storage.layout import SCORES, SYNTHESIZED_SCORES, shard_key
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store

__all__ = ["read_match_shares"]


def read_match_shares(store: Store, plan: Plan, model: MatchingModel) -> dict[str, MatchShares]:
    """Return the shares of each split for which there is a mixture.

    A split whose synthesized images are not all compared with their texts has no share of these.
    """
    keys = {folder: store.list(folder) for folder in (SCORES, SYNTHESIZED_SCORES)}
    shares = {}
    for split in plan.posts:
        shards = plan.shards_of(split)
        if not model.has_mixture(split) or any(shard_key(SCORES, shard) not in keys[SCORES] for shard in shards):
            continue
        is_compared = all(shard_key(SYNTHESIZED_SCORES, shard) in keys[SYNTHESIZED_SCORES] for shard in shards)
        shares[split] = MatchShares(
            original=_read_share(store, SCORES, shards, split, model),
            synthesized=_read_share(store, SYNTHESIZED_SCORES, shards, split, model) if is_compared else None,
        )
    return shares


def _read_share(store: Store, folder: str, shards: list[str], split: str, model: MatchingModel) -> Share:
    """Count the posts with a loss, and those of them with a theta above 0.5."""
    columns = [read_shard(store, shard_key(folder, shard), ["loss"])["loss"] for shard in shards]
    losses = np.concatenate([column.drop_null().to_numpy() for column in columns])
    thetas = model.theta(losses, split).astype(np.float32)  # as stored in the arms
    return Share(matched=int((thetas > 0.5).sum()), total=len(losses))
