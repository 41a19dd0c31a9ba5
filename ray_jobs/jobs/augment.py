"""`amia augment`: from posts to augmented shards; what `amia.augment_posts` does, on a cluster.

Three executions follow each other: embed the bank's shards; embed the rest and score, streaming; after the fit,
synthesize and mix, streaming. Synthesis is nearly all of the GPU time, so nothing is gained by running it beside
embed.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from amia.errors import RunError
from amia.hub import fetch_pipeline, weights_identity
from amia.matching.model import MIXTURE_FILE
from amia.mixing.arms import check_arm, needs_synthesis
from ray_jobs.jobs.autobatch import micro_batch
from ray_jobs.jobs.context import RunContext, compile_key, dtype_key, open_context, shaded
from ray_jobs.jobs.manifest import publish_manifest
from ray_jobs.jobs.mixture import mean_theta
from ray_jobs.jobs.score_variants import group_by_variant
from ray_jobs.jobs.scoring import ScoringResult, score_posts
from ray_jobs.settings.job import Settings
from ray_jobs.stages.mix import SEEDED_ARMS, Mix
from ray_jobs.stages.synthesize import Synthesize
from ray_jobs.storage.fingerprint import Identity, check_or_write_identity
from ray_jobs.storage.layout import RETRY_DIR
from ray_jobs.storage.status import count_failures

__all__ = ["AugmentResult", "augment"]


@dataclass(frozen=True, slots=True)
class AugmentResult:
    """What came out."""

    posts: int
    counts: dict[str, Counter[str]]
    """By arm, posts per pair of statuses; each adds up to `posts`."""
    manifests: dict[str, str]
    """Key of the manifest of each arm."""

    @property
    def failed(self) -> int:
        """Posts with a broken image, or whose synthesis failed, in the arm that has most of them."""
        return max(count_failures(counts) for counts in self.counts.values())


def augment(
    run: str,
    settings: Settings,
    *,
    arms: Sequence[str] = ("adaptive",),
    mixture: str | None = None,
    accept_mixture: bool = False,
    quiet: bool = False,
) -> AugmentResult:
    """Augment every post of an ingested run; started again, it goes on where it stopped.

    `mixture`: a run or a folder whose frozen mixture and bank are taken instead of fitting. `accept_mixture`: go on
    with a fit that the checks would refuse. Raises whatever of `amia.errors` stands in the way.
    """
    for arm in arms:
        check_arm(arm)
    job = open_context(run, settings, quiet=quiet)
    done = AugmentResult(job.plan.total, {}, {})
    for asked, group in group_by_variant(arms, settings.triplet):
        some = _augment(job, group, score_posts(job, asked, mixture, accept_mixture))
        done = AugmentResult(done.posts, done.counts | some.counts, done.manifests | some.manifests)
    return done


def _augment(job: RunContext, arms: Sequence[str], measured: ScoringResult) -> AugmentResult:
    """synthesize and mix, then account for every post and write the manifests."""
    settings, store, plan, frozen = job.settings, job.store, job.plan, measured.frozen
    stages = []
    weights: str | None = None
    synthesized: str | None = None
    if any(needs_synthesis(arm) for arm in arms):
        generator = settings.generator
        folder = fetch_pipeline("generator", generator.model, generator.commit, variant=generator.files)
        weights = weights_identity(generator.model, folder)
        synthesize, synthesized = _synthesize(job, weights)
        stages.append((synthesize, settings.pools.synthesize))
    identities = {arm: _arm_identity(job, arm, synthesized, measured) for arm in arms}
    digests = {
        arm: check_or_write_identity(store, f"{Mix.name}/{arm}", identity) for arm, identity in identities.items()
    }
    mix = Mix(
        store,
        digests,
        images=job.images,
        types=plan.types,
        mixture=frozen,
        scores=measured.variant.scores,
        synthesized=synthesized is not None,
        seed=settings.seed,
        mean_theta=mean_theta(store, plan, frozen, measured.variant.scores) if "constant" in arms and frozen else None,
    )
    job.run([*stages, (mix, settings.pools.mix)], plan.shards)
    manifests: dict[str, str] = {}
    counts: dict[str, Counter[str]] = {}
    for arm, identity in identities.items():
        manifests[arm], counts[arm] = publish_manifest(job, arm, identity, weights)
        if counts[arm].total() != plan.total:
            raise RunError(f"{arm}: {plan.total} posts went in, {counts[arm].total()} came out: report this as a bug")
    return AugmentResult(plan.total, counts, manifests)


def _synthesize(job: RunContext, weights: str) -> tuple[Synthesize, str]:
    pool, generator = job.settings.pools.synthesize, job.settings.generator
    threads = job.threads(Synthesize.name, pool)
    device = job.device(generator.device, pool)
    generator = generator.model_copy(update={"device": device})
    generator = generator.model_copy(update={"micro_batch": micro_batch(job, generator)})
    made = generator.model_dump(include={"steps", "guidance", "micro_batch", "redraws"})
    identity = {
        "stage": Synthesize.name,
        "version": Synthesize.version,
        "settings": {
            "generator": {
                "weights": weights,
                "dtype": dtype_key(generator.dtype, device),
                **made,
                **compile_key(generator.compile, device),
                **shaded(generator.dtype, device),
            },
            "image": job.settings.image.model_dump(include={"size", "quality"}),
            "seed": job.settings.seed,
            "threads": threads,
        },
        "input": {"posts": job.plan.digest},
    }
    digest = check_or_write_identity(job.store, Synthesize.name, identity)
    stage = Synthesize(
        job.store,
        digest,
        generator=generator,
        images=job.images,
        seed=job.settings.seed,
        threads=threads,
        earlier=[PurePosixPath(key).stem for key in job.store.list(RETRY_DIR)],
    )
    return stage, digest


def _arm_identity(job: RunContext, arm: str, synthesized: str | None, measured: ScoringResult) -> Identity:
    frozen = measured.frozen
    seed = {"seed": job.settings.seed} if arm in SEEDED_ARMS else {}
    return {
        "stage": f"{Mix.name}/{arm}",
        "version": Mix.version,
        "settings": {"image": job.settings.image.model_dump(include={"size", "fit", "quality"}), **seed},
        "input": {
            "posts": job.posts_digest,
            "synthesized": synthesized if needs_synthesis(arm) else None,
            "scores": measured.scores,
            "mixture": hashlib.sha256(frozen.to_bytes()[MIXTURE_FILE]).hexdigest() if frozen else None,
        },
    }
