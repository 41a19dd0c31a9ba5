"""`amia augment`: from posts to augmented shards, as `amia.augment_posts` does it for a list of posts.

The executions are those of `execution_plan`: embed and score, then, with the fitted mixture, synthesize and mix.
Synthesis takes nearly all of the GPU time, so running it in parallel with embed would save nothing. An arm that also
scores the synthesized images has them all synthesized first: generator and encoder may not fit the GPUs together.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from amia.errors import RunError
from amia.hub import fetch_pipeline, weights_identity
from amia.mixing.arms import check_arm, needs_synthesis, needs_theta_synthesized
from ray_jobs.jobs.autobatch import micro_batch
from ray_jobs.jobs.context import RunContext, open_context
from ray_jobs.jobs.execution_plan import RunPlan, plan_run
from ray_jobs.jobs.manifest import publish_manifest
from ray_jobs.jobs.mixture import mean_theta
from ray_jobs.jobs.remove_images import allow_images_again, check_images, find_obstacle, list_images, remove_images
from ray_jobs.jobs.scoring import ScoringResult, create_score_synthesized, score_posts
from ray_jobs.runtime.executor import AnyStage
from ray_jobs.settings.job import Settings
from ray_jobs.stages.mix import Mix
from ray_jobs.stages.synthesize import Synthesize
from ray_jobs.storage.layout import RETRY_DIR, SYNTHESIZED, arm_folder
from ray_jobs.storage.status import count_failures

__all__ = ["AugmentResult", "augment"]


@dataclass(frozen=True, slots=True)
class AugmentResult:
    """Result of `augment`."""

    posts: int
    counts: dict[str, Counter[str]]
    """By arm, the number of posts per pair of statuses; each sums to `posts`."""
    manifests: dict[str, str]
    """Key of the manifest of each arm."""

    @property
    def failed(self) -> int:
        """Posts with a broken image or a failed synthesis, in the arm with most of them."""
        return max(count_failures(counts) for counts in self.counts.values())


def augment(
    run: str,
    settings: Settings,
    *,
    arms: Sequence[str] = ("adaptive",),
    mixture: str | None = None,
    accept_mixture: bool = False,
    synthesize_again: bool = False,
    quiet: bool = False,
) -> AugmentResult:
    """Augment every post of an ingested run. Started again, it continues where it stopped.

    `mixture` is a run or a folder whose frozen mixture and bank are used instead of fitting. `accept_mixture` continues
    with a fit that the checks reject. `synthesize_again` makes removed synthesized images again. Raises AmiaError.
    """
    for arm in arms:
        check_arm(arm)
    arms = list(dict.fromkeys(arms))
    job = open_context(run, settings, quiet=quiet)
    run_plan = plan_run(job.facts, job.plan, settings, arms, mixture=mixture, accept_mixture=accept_mixture)
    if synthesize_again:
        allow_images_again(job.store, job.plan)
    check_images(job.store, job.plan, arms)  # before hours of other stages
    scoring = score_posts(job, run_plan, mixture=mixture, accept_mixture=accept_mixture)
    result = _mix(job, run_plan, arms, scoring)
    if settings.synthesized.keep == "until_mixed" and any(map(needs_synthesis, arms)):
        _remove_images(job)
    return result


def _remove_images(job: RunContext) -> None:
    size = sum(list_images(job.store).values())
    if (obstacle := find_obstacle(job.store, job.plan)) is not None:
        job.log(f"{SYNTHESIZED}/ is kept: {obstacle}")
    elif size:
        remove_images(job.store)
        job.log(f"{SYNTHESIZED}/: {size / 1e6:,.1f} MB removed, since all arms are mixed")


def _mix(job: RunContext, run_plan: RunPlan, arms: Sequence[str], scoring: ScoringResult | None) -> AugmentResult:
    """Synthesize, score what was synthesized, and mix, then account for every post and write the manifests."""
    settings, plan = job.settings, job.plan
    stages: list[AnyStage] = []
    weights: str | None = None
    synthesized: str | None = None
    synthesized_scores: str | None = None
    model = scoring.model if scoring else None
    if any(map(needs_synthesis, arms)):
        generator = settings.generator
        weights = weights_identity(
            generator.model,
            fetch_pipeline("generator", generator.model, generator.commit, variant=generator.weight_variant),
        )
        synthesize = _create_synthesize(job, weights)
        job.check_identity(synthesize)
        synthesized = synthesize.digest()
        if not check_images(job.store, plan, arms):
            stages.append(synthesize)
        if scoring and any(map(needs_theta_synthesized, arms)):
            score_synthesized = create_score_synthesized(job, scoring, synthesized)
            job.check_identity(score_synthesized)
            synthesized_scores = score_synthesized.digest()
            job.run(stages, run_plan.shards_of(run_plan.executions.synthesize))
            stages = [score_synthesized]
    mix = Mix(
        job.store,
        arms,
        images=job.images,
        types=plan.types,
        mixture=model,
        seed=settings.seed,
        mean_theta=mean_theta(job.facts, plan, model) if "constant" in arms and model else None,
        posts=job.posts_digest,
        scores=scoring.scores if scoring else None,
        synthesized=synthesized,
        synthesized_scores=synthesized_scores,
    )
    job.check_identity(mix)
    job.run([*stages, mix], run_plan.shards_of(run_plan.executions.augment))
    manifests: dict[str, str] = {}
    counts: dict[str, Counter[str]] = {}
    for arm in arms:
        manifests[arm], counts[arm] = publish_manifest(job, arm, mix.identity(arm_folder(arm)), weights)
        if counts[arm].total() != plan.total:
            raise RunError(f"{arm}: {plan.total} posts went in, {counts[arm].total()} came out: report this as a bug")
    return AugmentResult(plan.total, counts, manifests)


def _create_synthesize(job: RunContext, weights: str) -> Synthesize:
    pool, generator = job.settings.pools.synthesize, job.settings.generator
    threads = job.threads(Synthesize.name, pool)
    generator = generator.model_copy(update={"device": job.device(generator.device, pool)})
    generator = generator.model_copy(update={"micro_batch": micro_batch(job, generator)})
    return Synthesize(
        job.store,
        generator=generator,
        images=job.images,
        seed=job.settings.seed,
        threads=threads,
        weights=weights,
        posts=job.plan.digest,
        retried=[PurePosixPath(key).stem for key in job.facts.list(RETRY_DIR)],
    )
