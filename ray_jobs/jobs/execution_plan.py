"""`amia augment --dry-run`: what would run where, before anything costs money. Starts nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from amia.mixing.arms import check_arm, needs_synthesis
from ray_jobs.jobs.context import open_run
from ray_jobs.jobs.mixture import bank_shards, count_with_image
from ray_jobs.jobs.score_variants import group_by_variant
from ray_jobs.settings.job import Pool, Settings
from ray_jobs.storage.layout import arm_folder, shard_key
from ray_jobs.storage.store import Store

__all__ = ["PlannedStage", "plan_augment"]

JPEG_BYTES_A_PIXEL = 0.35
"""A 4:2:0 JPEG of a photograph at quality 95, roughly; what matters is the order of magnitude."""


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage of one execution. Between two executions all actors wait for the last shard."""

    execution: int
    stage: str
    shards: int
    """Shards still to be published."""
    posts: int
    pool: Pool
    megabytes: float
    """What it will write, estimated."""


def plan_augment(
    run: str, settings: Settings, arms: Sequence[str], *, mixture: str | None = None, accept_mixture: bool = False
) -> list[PlannedStage]:
    """The stages of `amia augment` with what is left of each, in the order in which they would run."""
    for arm in arms:
        check_arm(arm)
    store = Store(run)
    plan, _ = open_run(store)
    pools = settings.pools
    picture = settings.image.size**2 * JPEG_BYTES_A_PIXEL / 1e6
    images = sum(count_with_image(store, plan.shards))
    to_fit = sum(count_with_image(store, [shard for split in plan.fit_splits() for shard in plan.shards_of(split)]))
    ships = settings.shipped_mixture is not None and to_fit < settings.mixture.min_losses and not accept_mixture

    def left(execution: int, folder: str, shards: Sequence[str], pool: Pool, megabytes: float) -> PlannedStage:
        sizes = store.list(folder)
        todo = [shard for shard in shards if shard_key(folder, shard) not in sizes]
        posts = sum(plan.rows_of(shard) for shard in todo)
        return PlannedStage(execution, folder, len(todo), posts, pool, posts * megabytes)

    steps: list[PlannedStage] = []
    execution, bank = 0, list[str]()
    if images and mixture is None and not ships:  # a mixture that is given brings its bank
        bank = bank_shards(store, plan, settings.triplet.bank)
        bank = plan.shards if 2 * len(bank) >= len(plan.shards) else bank
        execution += 1
        steps.append(left(execution, "embeddings", bank, pools.embed, 0.002))
    if images:
        rest = [shard for shard in plan.shards if shard not in set(bank)]
        execution += 1
        steps += [left(execution, "embeddings", rest, pools.embed, 0.002)] if rest else []
        steps.append(left(execution, "scores", plan.shards, pools.score, 0.00005))
    drawn = False
    for asked, group in group_by_variant(arms, settings.triplet):
        if images and asked.suffix:
            execution += 1
            steps.append(left(execution, asked.scores, plan.shards, pools.score, 0.00005))
        execution += 1
        if not drawn and any(needs_synthesis(arm) for arm in group):
            drawn = True
            steps.append(left(execution, "synthesized", plan.shards, pools.synthesize, picture))
        steps += [left(execution, arm_folder(arm), plan.shards, pools.mix, picture) for arm in group]
    return steps
