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
from amia.hub import fetch_generator, identity_of
from amia.matching.model import MIXTURE_FILE
from amia.mixing.arms import check_arm, needs_synthesis
from ray_jobs.jobs.autobatch import micro_batch
from ray_jobs.jobs.context import Job, open_job, precision, shaded, tuned
from ray_jobs.jobs.manifest import publish_manifest
from ray_jobs.jobs.mixture import mean_theta
from ray_jobs.jobs.score_variants import by_measure
from ray_jobs.jobs.scoring import Measured, measure
from ray_jobs.settings.job import Settings
from ray_jobs.stages.mix import DRAWN_BY_LOT, Mix
from ray_jobs.stages.synthesize import Synthesize
from ray_jobs.storage.fingerprint import Identity, claim
from ray_jobs.storage.status import EARLIER

__all__ = ["Augmented", "augment"]


@dataclass(frozen=True, slots=True)
class Augmented:
    """What came out."""

    posts: int
    counts: dict[str, Counter[str]]
    """By arm, posts per pair of statuses; each adds up to `posts`."""
    manifests: dict[str, str]
    """Key of the manifest of each arm."""

    @property
    def failed(self) -> int:
        """Posts with a broken image, or whose synthesis failed, in the arm that has most of them."""
        return max(sum(n for status, n in counts.items() if "(" in status) for counts in self.counts.values())


def augment(
    run: str,
    settings: Settings,
    *,
    arms: Sequence[str] = ("adaptive",),
    mixture: str | None = None,
    accept_mixture: bool = False,
    quiet: bool = False,
) -> Augmented:
    """Augment every post of an ingested run; started again, it goes on where it stopped.

    `mixture`: a run or a folder whose frozen mixture and bank are taken instead of fitting. `accept_mixture`: go on
    with a fit that the checks would refuse. Raises whatever of `amia.errors` stands in the way.
    """
    for arm in arms:
        check_arm(arm)
    job = open_job(run, settings, quiet=quiet)
    done = Augmented(job.plan.total, {}, {})
    for asked, group in by_measure(arms, settings.triplet):
        some = _augment(job, group, measure(job, asked, mixture, accept_mixture))
        done = Augmented(done.posts, done.counts | some.counts, done.manifests | some.manifests)
    return done


def _augment(job: Job, arms: Sequence[str], measured: Measured) -> Augmented:
    """synthesize and mix, then account for every post and write the manifests."""
    settings, store, plan, frozen = job.settings, job.store, job.plan, measured.frozen
    stages = []
    weights: str | None = None
    synthesized: str | None = None
    if any(needs_synthesis(arm) for arm in arms):
        weights = identity_of(settings.generator.model, fetch_generator(settings.generator))
        synthesize, synthesized = _synthesize(job, weights)
        stages.append((synthesize, settings.pools.synthesize))
    identities = {arm: _arm_identity(job, arm, synthesized, measured) for arm in arms}
    digests = {arm: claim(store, f"{Mix.name}/{arm}", identity) for arm, identity in identities.items()}
    mix = Mix(
        store,
        digests,
        images=job.images,
        types=plan.types,
        mixture=frozen,
        scores=measured.measure.scores,
        synthesized=synthesized is not None,
        seed=settings.seed,
        mean_theta=mean_theta(store, plan, frozen, measured.measure.scores) if "constant" in arms and frozen else None,
    )
    job.run([*stages, (mix, settings.pools.mix)], plan.shards)
    manifests: dict[str, str] = {}
    counts: dict[str, Counter[str]] = {}
    for arm, identity in identities.items():
        manifests[arm], counts[arm] = publish_manifest(job, arm, identity, weights)
        if counts[arm].total() != plan.total:
            raise RunError(f"{arm}: {plan.total} posts went in, {counts[arm].total()} came out: report this as a bug")
    return Augmented(plan.total, counts, manifests)


def _synthesize(job: Job, weights: str) -> tuple[Synthesize, str]:
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
                "dtype": precision(generator.dtype, device),
                **made,
                **tuned(generator.compile, device),
                **shaded(generator.dtype, device),
            },
            "image": job.settings.image.model_dump(include={"size", "quality"}),
            "seed": job.settings.seed,
            "threads": threads,
        },
        "input": {"posts": job.plan.digest},
    }
    digest = claim(job.store, Synthesize.name, identity)
    stage = Synthesize(
        job.store,
        digest,
        generator=generator,
        images=job.images,
        seed=job.settings.seed,
        threads=threads,
        earlier=[PurePosixPath(key).stem for key in job.store.sizes(EARLIER)],
    )
    return stage, digest


def _arm_identity(job: Job, arm: str, synthesized: str | None, measured: Measured) -> Identity:
    frozen = measured.frozen
    seed = {"seed": job.settings.seed} if arm in DRAWN_BY_LOT else {}
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
