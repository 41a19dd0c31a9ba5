"""`amia augment`: from posts to augmented shards; what `amia.augment_posts` does, on a cluster.

Three executions follow each other: embed the bank's shards; embed the rest and score, streaming; after the fit,
synthesize and mix, streaming. Synthesis is nearly all of the GPU time, so nothing is gained by running it beside
embed.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amia.errors import MixtureError, RunError
from amia.matching.bank import Bank
from amia.matching.clip import ClipEncoder
from amia.matching.frozen import BANK_FILE, MIXTURE_FILE, FrozenMixture, triplet_identity
from amia.mixing.ratio import check_arm, needs_synthesis
from amia.synthesis.generator import Generator
from amia.weights import identity_of
from ray_jobs.fitting import FOLDER, bank_shards, build_bank, fit_losses, read_frozen, with_image
from ray_jobs.identity import Identity, claim
from ray_jobs.job import Job, open_job, precision
from ray_jobs.manifest import publish_manifest
from ray_jobs.settings import Settings
from ray_jobs.stages.embed import Embed
from ray_jobs.stages.mix import Mix
from ray_jobs.stages.score import Score
from ray_jobs.stages.synthesize import Synthesize

__all__ = ["Augmented", "augment"]


@dataclass(frozen=True, slots=True)
class Augmented:
    """What came out."""

    posts: int
    counts: dict[str, Counter[str]]
    """By arm, posts per pair of statuses; each adds up to `posts`."""
    manifests: dict[str, str]
    """Key of the manifest of each arm."""
    frozen: FrozenMixture | None
    """The mixture that theta came from; None where no post has an image."""

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
    frozen, scores = _measure(job, mixture, accept_mixture)
    return _augment(job, list(dict.fromkeys(arms)), frozen, scores)


def _measure(job: Job, mixture: str | None, accept_mixture: bool) -> tuple[FrozenMixture | None, str | None]:
    """embed, score, fit: the frozen mixture, and the digest of the scores. (None, None) where no post has an image."""
    settings, store, plan = job.settings, job.store, job.plan
    if not sum(with_image(store, plan.shards)):
        job.say("no post has a usable image: theta is 0 everywhere, and nothing is compared or fitted")
        return None, None
    weights = identity_of(settings.clip.model, ClipEncoder.fetch(settings.clip))
    taken = _taken(job, mixture, accept_mixture)
    embed, embeddings = _embed(job, weights)
    if taken is None:
        shards = bank_shards(store, plan, settings.triplet.bank)
        # Where the bank is most of the corpus, the rest goes with it: a second start of the encoder costs more.
        job.run([(embed, settings.pools.embed)], plan.shards if 2 * len(shards) >= len(plan.shards) else shards)
        about = {"settings": {"mixture": settings.mixture.model_dump(), "bank": settings.triplet.bank}}
        claim(store, FOLDER, {"stage": FOLDER, "version": 1, **about, "input": {"embeddings": embeddings}})
        store.create(f"{FOLDER}/{BANK_FILE}", build_bank(store, shards, settings.triplet.bank))
    else:
        taken.check({"encoder": weights}, settings.triplet)
        files = taken.to_bytes()
        about = {"settings": {"taken": hashlib.sha256(files[MIXTURE_FILE]).hexdigest()}}
        claim(store, FOLDER, {"stage": FOLDER, "version": 1, **about, "input": {}})
        for name in (BANK_FILE, MIXTURE_FILE):
            store.create(f"{FOLDER}/{name}", files[name])
    bank = hashlib.sha256(store.read(f"{FOLDER}/{BANK_FILE}")).hexdigest()
    identity = {
        "stage": Score.name,
        "version": Score.version,
        "settings": triplet_identity(settings.triplet),
        "input": {"embeddings": embeddings, "bank": bank},
    }
    scores = claim(store, Score.name, identity)
    score = Score(store, scores, triplet=settings.triplet)
    job.run([(embed, settings.pools.embed), (score, settings.pools.score)], plan.shards)
    return _frozen(job, weights, accept_mixture), scores


def _embed(job: Job, weights: str) -> tuple[Embed, str]:
    pool, clip = job.settings.pools.embed, job.settings.clip
    threads = job.threads(Embed.name, pool)
    device = job.device(clip.device, pool)
    identity = {
        "stage": Embed.name,
        "version": Embed.version,
        "settings": {
            "clip": {"weights": weights, "dtype": precision(clip.dtype, device), "micro_batch": clip.micro_batch},
            "threads": threads,
        },
        "input": {"posts": job.posts_digest},
    }
    digest = claim(job.store, Embed.name, identity)
    clip = clip.model_copy(update={"device": device})
    return Embed(job.store, digest, clip=clip, images=job.images, threads=threads), digest


def _taken(job: Job, mixture: str | None, accept_mixture: bool) -> FrozenMixture | None:
    """Another run's mixture where one was given, or the preset's where the corpus is too little to fit one on."""
    if mixture is not None:
        folder = Path(mixture)
        return FrozenMixture.load(folder / FOLDER if (folder / FOLDER).is_dir() else folder)
    few = sum(with_image(job.store, [shard for split in job.plan.fit_splits() for shard in job.plan.shards_of(split)]))
    if few >= job.settings.mixture.min_losses or accept_mixture or job.settings.shipped_mixture is None:
        return None
    job.say(
        f"{few} posts with an image are too few to fit a mixture on ({job.settings.mixture.min_losses} wanted): "
        f"taking the one that ships with this preset ({job.settings.shipped_mixture})"
    )
    return FrozenMixture.load(Path(job.settings.shipped_mixture))


def _frozen(job: Job, weights: str, accept_mixture: bool) -> FrozenMixture:
    """The run's mixture: the one that stands, else a fit, published once unless it is refused."""
    store = job.store
    if (standing := read_frozen(store)) is not None:
        return standing
    bank = Bank.from_bytes(store.read(f"{FOLDER}/{BANK_FILE}"))
    frozen = fit_losses(store, job.plan, bank, weights, job.settings.triplet, job.settings.mixture)
    for name, fit in frozen.fits.items():
        job.say(f"mixture ({name}): {fit.summary}")
        for warning in fit.warnings:
            job.say(f"mixture ({name}): {warning}")
        if fit.refusal and not accept_mixture:
            raise MixtureError(
                f"the mixture on {name} is not to be trusted: {fit.refusal}. Give --mixture RUN|FOLDER to take another "
                "run's, or --accept-mixture to go on with this one"
            )
    store.create(f"{FOLDER}/{MIXTURE_FILE}", frozen.to_bytes()[MIXTURE_FILE])
    return read_frozen(store) or frozen


def _augment(job: Job, arms: Sequence[str], frozen: FrozenMixture | None, scores: str | None) -> Augmented:
    """synthesize and mix, then account for every post and write the manifests."""
    settings, store, plan = job.settings, job.store, job.plan
    stages = []
    weights: str | None = None
    synthesized: str | None = None
    if any(needs_synthesis(arm) for arm in arms):
        weights = identity_of(settings.generator.model, Generator.fetch(settings.generator))
        synthesize, synthesized = _synthesize(job, weights)
        stages.append((synthesize, settings.pools.synthesize))
    measure = hashlib.sha256(frozen.to_bytes()[MIXTURE_FILE]).hexdigest() if frozen else None
    identities = {arm: _arm_identity(job, arm, synthesized, scores, measure) for arm in arms}
    digests = {arm: claim(store, f"{Mix.name}/{arm}", identity) for arm, identity in identities.items()}
    mix = Mix(
        store,
        digests,
        images=job.images,
        types=plan.types,
        mixture=frozen,
        synthesized=synthesized is not None,
    )
    job.run([*stages, (mix, settings.pools.mix)], plan.shards)
    manifests: dict[str, str] = {}
    counts: dict[str, Counter[str]] = {}
    for arm, identity in identities.items():
        manifests[arm], counts[arm] = publish_manifest(job, arm, identity, weights)
        if counts[arm].total() != plan.total:
            raise RunError(f"{arm}: {plan.total} posts went in, {counts[arm].total()} came out: report this as a bug")
    return Augmented(plan.total, counts, manifests, frozen)


def _synthesize(job: Job, weights: str) -> tuple[Synthesize, str]:
    pool, generator = job.settings.pools.synthesize, job.settings.generator
    threads = job.threads(Synthesize.name, pool)
    device = job.device(generator.device, pool)
    made = generator.model_dump(include={"steps", "guidance", "micro_batch", "redraws"})
    identity = {
        "stage": Synthesize.name,
        "version": Synthesize.version,
        "settings": {
            "generator": {"weights": weights, "dtype": precision(generator.dtype, device), **made},
            "image": job.settings.image.model_dump(include={"size", "quality"}),
            "seed": job.settings.seed,
            "threads": threads,
        },
        "input": {"posts": job.plan.digest},
    }
    digest = claim(job.store, Synthesize.name, identity)
    generator = generator.model_copy(update={"device": device})
    stage = Synthesize(
        job.store, digest, generator=generator, images=job.images, seed=job.settings.seed, threads=threads
    )
    return stage, digest


def _arm_identity(job: Job, arm: str, synthesized: str | None, scores: str | None, measure: str | None) -> Identity:
    return {
        "stage": f"{Mix.name}/{arm}",
        "version": Mix.version,
        "settings": {"image": job.settings.image.model_dump(include={"size", "fit", "quality"})},
        "input": {
            "posts": job.posts_digest,
            "synthesized": synthesized if needs_synthesis(arm) else None,
            "scores": scores,
            "mixture": measure,
        },
    }
