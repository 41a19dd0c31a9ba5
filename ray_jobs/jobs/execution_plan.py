"""The executions of `amia augment`: printed by `--dry-run`, priced by `amia plan`, and run by `amia augment`.

An execution streams shards through one or several stages, and the next one starts once its last shard is published:

1. embed the posts of the bank of negatives, unless a mixture from elsewhere brings its own bank;
2. embed the remaining posts, and score all posts;
3. synthesize images, and mix them.

For an arm that scores the synthesized images, the third execution only synthesizes, and a fourth one scores and mixes.

This module imports neither Ray nor torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from amia.mixing.arms import check_arm, needs_synthesis, needs_theta_synthesized
from ray_jobs.settings.job import Pool, Settings
from ray_jobs.storage.facts import ShardFacts
from ray_jobs.storage.layout import (
    EMBEDDINGS,
    POSTS,
    SCORES,
    SYNTHESIZED,
    SYNTHESIZED_SCORES,
    arm_folder,
    shard_key,
)
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store

__all__ = [
    "Execution",
    "ExecutionPlan",
    "PlannedStage",
    "RunPlan",
    "StageRef",
    "count_with_image",
    "execution_plan",
    "plan_augment",
    "plan_run",
]

JPEG_BYTES_PER_PIXEL = 0.35
"""Rough size of a photograph as 4:2:0 JPEG at quality 95."""
EMBEDDING_MB, SCORE_MB, SYNTHESIZED_SCORE_MB = 0.002, 0.00005, 0.001
"""Rough size of a post in `embeddings/`, `scores/` and `synthesized_scores/`."""

Part = Literal["all", "bank", "rest"]
"""Part of a corpus: all posts, the shards that hold the bank, or the others."""
MixtureSource = Literal["fit", "given", "shipped"]
"""Whether the mixture is fitted on this run, given by `--mixture`, or the one that ships with the preset."""


@dataclass(frozen=True, slots=True)
class StageRef:
    """A stage of an execution, by the folder that it writes, and the part of the corpus that it processes."""

    folder: str
    pool: str
    part: Part = "all"


Execution = tuple[StageRef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionPlan:
    """The executions of a job. An empty execution is skipped."""

    embed_bank: Execution
    score: Execution
    synthesize: Execution
    """Empty if images are synthesized and mixed in one execution."""
    augment: Execution

    @property
    def executions(self) -> list[Execution]:
        """Executions to run, in order."""
        executions = (self.embed_bank, self.score, self.synthesize, self.augment)
        return [execution for execution in executions if execution]


def execution_plan(arms: Sequence[str], *, has_images: bool, bank_share: float | None) -> ExecutionPlan:
    """Return the executions for some arms.

    `bank_share` is the share of the corpus whose shards hold the bank, or None if the bank is not made from this
    corpus. If it is at least half, all posts are embedded in the first execution, since starting the encoder a second
    time takes longer than it saves. Raises SettingsError for an unknown arm.
    """
    for arm in arms:
        check_arm(arm)
    embed_bank: Execution = ()
    score: Execution = ()
    if has_images:
        if bank_share is None:
            score = (StageRef(EMBEDDINGS, "embed"),)
        elif bank_share >= 0.5:
            embed_bank = (StageRef(EMBEDDINGS, "embed"),)
        else:
            embed_bank = (StageRef(EMBEDDINGS, "embed", "bank"),)
            score = (StageRef(EMBEDDINGS, "embed", "rest"),)
        score = (*score, StageRef(SCORES, "score"))
    synthesize: Execution = (StageRef(SYNTHESIZED, "synthesize"),) if any(map(needs_synthesis, arms)) else ()
    mix = tuple(StageRef(arm_folder(arm), "mix") for arm in dict.fromkeys(arms))
    if has_images and any(map(needs_theta_synthesized, arms)):
        augment = (StageRef(SYNTHESIZED_SCORES, "embed"), *mix)
    else:
        synthesize, augment = (), (*synthesize, *mix)
    return ExecutionPlan(embed_bank=embed_bank, score=score, synthesize=synthesize, augment=augment)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """The executions of one run, with the shards of each part of its corpus."""

    executions: ExecutionPlan
    mixture_source: MixtureSource
    num_fit_images: int
    """Posts with an image in the splits that the mixture is fitted on."""
    shards: dict[Part, list[str]]

    def shards_of(self, execution: Execution) -> list[str]:
        """Return the shards that an execution processes in any of its stages."""
        parts = {stage.part for stage in execution}
        return self.shards["all" if len(parts) > 1 else parts.pop()]


def plan_run(
    facts: ShardFacts,
    plan: Plan,
    settings: Settings,
    arms: Sequence[str],
    *,
    mixture: str | None = None,
    accept_mixture: bool = False,
) -> RunPlan:
    """Return the executions of `amia augment` for an ingested run, whether or not some shards are published."""
    with_image = dict(zip(plan.shards, count_with_image(facts, plan.shards), strict=True))
    fit_shards = [shard for split in plan.fit_splits() for shard in plan.shards_of(split)]
    fit_images = [with_image[shard] for shard in fit_shards]
    source: MixtureSource = "fit"
    if mixture is not None or plan.earlier:
        source = "given"
    elif settings.shipped_mixture is not None and sum(fit_images) < settings.mixture.min_losses and not accept_mixture:
        source = "shipped"
    # The first shards of the fitting splits that hold enough posts with an image, or all of these splits.
    bank = fit_shards[: int(np.searchsorted(np.cumsum(fit_images), settings.triplet.bank)) + 1]
    executions = execution_plan(
        arms,
        has_images=any(with_image.values()),
        bank_share=len(bank) / len(plan.shards) if source == "fit" else None,
    )
    in_bank = set(bank)
    rest = [shard for shard in plan.shards if shard not in in_bank]
    return RunPlan(
        executions=executions,
        mixture_source=source,
        num_fit_images=sum(fit_images),
        shards={"all": plan.shards, "bank": bank, "rest": rest},
    )


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """Remaining work of one stage in one execution, as `--dry-run` shows it."""

    execution: int
    stage: str
    shards: int
    """Shards that are not published yet."""
    posts: int
    pool: Pool
    megabytes: float
    """Estimated size of the output."""


def plan_augment(
    run: str,
    settings: Settings,
    arms: Sequence[str],
    *,
    mixture: str | None = None,
    accept_mixture: bool = False,
    synthesize_again: bool = False,
) -> list[PlannedStage]:
    """Return the remaining work of `amia augment`, in the order in which it would run. Starts nothing."""
    from ray_jobs.jobs.context import open_run  # not at the top: it imports Ray
    from ray_jobs.jobs.remove_images import check_images

    for arm in arms:
        check_arm(arm)
    store = Store(run)
    plan, _ = open_run(store)
    facts = ShardFacts(store, plan)
    run_plan = plan_run(facts, plan, settings, arms, mixture=mixture, accept_mixture=accept_mixture)
    images_unneeded = not synthesize_again and check_images(store, plan, arms)
    megabytes = {EMBEDDINGS: EMBEDDING_MB, SCORES: SCORE_MB, SYNTHESIZED_SCORES: SYNTHESIZED_SCORE_MB}
    image_mb = settings.image.size**2 * JPEG_BYTES_PER_PIXEL / 1e6
    planned = []
    for number, execution in enumerate(run_plan.executions.executions, 1):
        for stage in execution:
            published = facts.list(stage.folder)
            shards = [s for s in run_plan.shards[stage.part] if shard_key(stage.folder, s) not in published]
            if stage.folder == SYNTHESIZED and images_unneeded:
                shards = []
            posts = sum(map(plan.rows_of, shards))
            post_mb = megabytes.get(stage.folder, image_mb)
            pool = getattr(settings.pools, stage.pool)
            planned.append(PlannedStage(number, stage.folder, len(shards), posts, pool, posts * post_mb))
    return planned


def count_with_image(facts: ShardFacts, shards: Sequence[str]) -> list[int]:
    """Return the number of posts with a usable image in each shard."""
    return [metadata.counts.get("image=ok", 0) for metadata in facts.metadata(POSTS, shards)]
