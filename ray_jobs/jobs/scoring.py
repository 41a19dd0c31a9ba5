"""How well do text and image match? What `amia augment` does first: embed, score, fit."""

import hashlib
from dataclasses import dataclass

from amia.errors import MixtureError
from amia.hub import fetch_model, resolve_path, weights_identity
from amia.matching.bank import Bank
from amia.matching.model import BANK_FILE, MIXTURE_FILE, MatchingModel, triplet_identity
from ray_jobs.jobs.context import RunContext, compile_key, dtype_key
from ray_jobs.jobs.mixture import FOLDER, bank_shards, build_bank, count_with_image, fit_losses, read_matching_model
from ray_jobs.jobs.score_variants import ScoreVariant
from ray_jobs.stages.embed import Embed
from ray_jobs.stages.score import Score
from ray_jobs.storage.fingerprint import check_or_write_identity
from ray_jobs.storage.store import Store

__all__ = ["ScoringResult", "score_posts"]


@dataclass(frozen=True, slots=True)
class ScoringResult:
    """A measure with what came out."""

    variant: ScoreVariant
    frozen: MatchingModel | None
    """None where no post has an image."""
    scores: str | None
    """Digest of the identity of the losses; None likewise."""


def score_posts(job: RunContext, asked: ScoreVariant, mixture: str | None, accept_mixture: bool) -> ScoringResult:
    """embed, score, fit. `mixture`: a run or folder whose frozen mixture is taken; a control's measure fits its own."""
    settings, store, plan = job.settings, job.store, job.plan
    if not sum(count_with_image(store, plan.shards)):
        job.say("no post has a usable image: theta is 0 everywhere, and nothing is compared or fitted")
        return ScoringResult(asked, None, None)
    weights = weights_identity(settings.clip.model, fetch_model("encoder", settings.clip.model, settings.clip.commit))
    taken = None if asked.suffix else _taken(job, mixture, accept_mixture)
    embed, embeddings = _embed(job, weights)
    triplet, folder = asked.triplet, asked.mixture
    if taken is None:
        shards = bank_shards(store, plan, triplet.bank)
        # Where the bank is most of the corpus, the rest goes with it: a second start of the encoder costs more.
        job.run([(embed, settings.pools.embed)], plan.shards if 2 * len(shards) >= len(plan.shards) else shards)
        about = {"settings": {"mixture": settings.mixture.model_dump(), "bank": triplet.bank}}
        check_or_write_identity(
            store, folder, {"stage": folder, "version": 1, **about, "input": {"embeddings": embeddings}}
        )
        store.create(f"{folder}/{BANK_FILE}", build_bank(store, shards, triplet.bank))
    else:
        taken.check({"encoder": weights}, triplet)
        files = taken.to_bytes()
        about = {"settings": {"taken": hashlib.sha256(files[MIXTURE_FILE]).hexdigest()}}
        check_or_write_identity(store, folder, {"stage": folder, "version": 1, **about, "input": {}})
        for name in (BANK_FILE, MIXTURE_FILE):
            store.create(f"{folder}/{name}", files[name])
    bank = hashlib.sha256(store.read(f"{folder}/{BANK_FILE}")).hexdigest()
    identity = {
        "stage": asked.scores,
        "version": Score.version,
        "settings": triplet_identity(triplet),
        "input": {"embeddings": embeddings, "bank": bank},
    }
    scores = check_or_write_identity(store, asked.scores, identity)
    score = Score(store, scores, triplet=triplet, folder=asked.scores, bank=f"{folder}/{BANK_FILE}")
    job.run([(embed, settings.pools.embed), (score, settings.pools.score)], plan.shards)
    return ScoringResult(asked, _frozen(job, asked, weights, accept_mixture), scores)


def _embed(job: RunContext, weights: str) -> tuple[Embed, str]:
    pool, clip = job.settings.pools.embed, job.settings.clip
    threads = job.threads(Embed.name, pool)
    device = job.device(clip.device, pool)
    identity = {
        "stage": Embed.name,
        "version": Embed.version,
        "settings": {
            "clip": {
                "weights": weights,
                "dtype": dtype_key(clip.dtype, device),
                "micro_batch": clip.micro_batch,
                **compile_key(clip.compile, device),
            },
            "threads": threads,
        },
        "input": {"posts": job.posts_digest},
    }
    digest = check_or_write_identity(job.store, Embed.name, identity)
    clip = clip.model_copy(update={"device": device})
    more = {"threads": threads, "decoders": job.decoders(pool)}
    return Embed(job.store, digest, clip=clip, images=job.images, **more), digest


def _taken(job: RunContext, mixture: str | None, accept_mixture: bool) -> MatchingModel | None:
    """Another run's mixture where one was given, or the preset's where the corpus is too little to fit one on."""
    if mixture is not None:
        return _given(mixture)
    few = sum(
        count_with_image(job.store, [shard for split in job.plan.fit_splits() for shard in job.plan.shards_of(split)])
    )
    if few >= job.settings.mixture.min_losses or accept_mixture or job.settings.shipped_mixture is None:
        return None
    job.say(
        f"{few} posts with an image are too few to fit a mixture on ({job.settings.mixture.min_losses} wanted): "
        f"taking the one that ships with this preset ({job.settings.shipped_mixture})"
    )
    return MatchingModel.load(resolve_path(job.settings.shipped_mixture))


def _given(mixture: str) -> MatchingModel:
    """The mixture of a run, or one that lies in a folder; on a disk or in an object store."""
    store = Store(mixture)
    if store.folder is not None:
        return MatchingModel.load(store.folder / FOLDER if (store.folder / FOLDER).is_dir() else store.folder)
    above, _, name = mixture.rstrip("/").rpartition("/")
    found = read_matching_model(store) or read_matching_model(Store(above), name)
    if found is None:
        raise MixtureError(
            f"{mixture}: no frozen mixture can be read here: it is no run with one, and no folder of one"
        )
    return found


def _frozen(job: RunContext, asked: ScoreVariant, weights: str, accept_mixture: bool) -> MatchingModel:
    """The measure's mixture: the one that stands, else a fit, published once unless it is refused."""
    store, folder = job.store, asked.mixture
    if (standing := read_matching_model(store, folder)) is not None:
        return standing
    bank = Bank.from_bytes(store.read(f"{folder}/{BANK_FILE}"))
    frozen = fit_losses(store, job.plan, bank, weights, asked.triplet, job.settings.mixture, asked.scores)
    for name, fit in frozen.fits.items():
        job.say(f"{folder} ({name}): {fit.summary}")
        for warning in fit.warnings:
            job.say(f"{folder} ({name}): {warning}")
        if fit.rejection_reason and not accept_mixture:
            raise MixtureError(
                f"the {folder} on {name} is not to be trusted: {fit.rejection_reason}. Give --mixture RUN|FOLDER to take "
                "another run's, or --accept-mixture to go on with this one"
            )
    store.create(f"{folder}/{MIXTURE_FILE}", frozen.to_bytes()[MIXTURE_FILE])
    return read_matching_model(store, folder) or frozen
