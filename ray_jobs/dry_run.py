"""`amia augment --dry-run`: what would run where, before anything costs money. Starts nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from amia.mixing.ratio import check_arm, needs_synthesis
from ray_jobs.fitting import bank_shards, with_image
from ray_jobs.job import open_run
from ray_jobs.settings import Pool, Settings
from ray_jobs.store import Store

__all__ = ["Planned", "plan_augment"]

JPEG_BYTES_A_PIXEL = 0.35
"""A 4:2:0 JPEG of a photograph at quality 95, roughly; what matters is the order of magnitude."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One stage of one execution. Between two executions all actors wait for the last shard."""

    execution: int
    stage: str
    shards: int
    """Shards still to be published."""
    posts: int
    pool: Pool
    megabytes: float
    """What it will write, estimated."""


def plan_augment(run: str, settings: Settings, arms: Sequence[str]) -> list[Planned]:
    """The stages of `amia augment` with what is left of each, in the order in which they would run."""
    for arm in arms:
        check_arm(arm)
    store = Store(run)
    plan, _ = open_run(store)
    pools = settings.pools
    picture = settings.image.size**2 * JPEG_BYTES_A_PIXEL / 1e6
    images = sum(with_image(store, plan.shards))

    def left(execution: int, folder: str, shards: Sequence[str], pool: Pool, megabytes: float) -> Planned:
        sizes = store.sizes(folder)
        todo = [shard for shard in shards if f"{folder}/{shard}.parquet" not in sizes]
        posts = sum(plan.rows_of(shard) for shard in todo)
        return Planned(execution, folder, len(todo), posts, pool, posts * megabytes)

    steps: list[Planned] = []
    if images:
        bank = bank_shards(store, plan, settings.triplet.bank)
        rest = [shard for shard in plan.shards if shard not in set(bank)]
        steps += [
            left(1, "embeddings", bank, pools.embed, 0.002),
            left(2, "embeddings", rest, pools.embed, 0.002),
            left(2, "scores", plan.shards, pools.score, 0.00005),
        ]
    if any(needs_synthesis(arm) for arm in arms):
        steps.append(left(3, "synthesized", plan.shards, pools.synthesize, picture))
    return steps + [left(3, f"augmented/{arm}", plan.shards, pools.mix, picture) for arm in arms]
