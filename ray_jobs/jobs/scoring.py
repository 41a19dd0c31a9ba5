"""How well text and image of each post match (paper 3.1, 3.2): embed, score, fit."""

import hashlib
from dataclasses import dataclass

from amia.hub import fetch_model, weights_identity
from amia.matching.model import BANK_FILE, MatchingModel
from ray_jobs.jobs.context import RunContext
from ray_jobs.jobs.execution_plan import RunPlan
from ray_jobs.jobs.mixture import find_bank, fit_model, load_other_model, publish_bank, publish_other_model
from ray_jobs.stages.embed import Embed
from ray_jobs.stages.score import Score
from ray_jobs.stages.score_synthesized import ScoreSynthesized
from ray_jobs.storage.layout import MIXTURE

__all__ = ["ScoringResult", "create_score_synthesized", "score_posts"]


@dataclass(frozen=True, slots=True)
class ScoringResult:
    """Result of `score_posts`."""

    model: MatchingModel
    """The frozen mixture with its bank."""
    encoder: str
    """Identity of the encoder's weights."""
    embeddings: str
    """Digest of the identity of `embeddings/`."""
    scores: str
    """Digest of the identity of `scores/`."""


def score_posts(
    job: RunContext, run_plan: RunPlan, *, mixture: str | None, accept_mixture: bool
) -> ScoringResult | None:
    """Embed and score all posts, and fit the mixture unless it comes from elsewhere.

    `mixture` is the run or folder whose mixture and bank are used. Returns None if no post has an image. Raises
    MixtureError if the fit is rejected and `accept_mixture` is not set.
    """
    settings, store = job.settings, job.store
    executions = run_plan.executions
    if not executions.score:
        job.log("no post has a usable image: theta is 0 for all posts, and no mixture is fitted")
        return None
    weights = weights_identity(settings.clip.model, fetch_model("encoder", settings.clip.model, settings.clip.commit))
    other = load_other_model(job, run_plan, mixture)
    embed = _create_embed(job, weights)
    job.check_identity(embed)
    if other is None:
        job.run([embed], run_plan.shards_of(executions.embed_bank))
        bank = publish_bank(job, run_plan.shards["bank"], embed.digest())
    else:
        other.check({"encoder": weights}, settings.triplet)
        bank = publish_other_model(store, job.plan, other)
    bank_key, bank_digest = _find_bank(job, bank)
    score = Score(
        store,
        triplet=settings.triplet,
        bank_key=bank_key,
        bank=bank_digest,
        embeddings=embed.digest(),
    )
    job.check_identity(score)
    job.run([embed, score], run_plan.shards_of(executions.score))
    model = fit_model(job, weights, bank, accept_mixture=accept_mixture)
    return ScoringResult(model, weights, embed.digest(), score.digest())


def create_score_synthesized(job: RunContext, scoring: ScoringResult, synthesized: str) -> ScoreSynthesized:
    """Return the stage that scores synthesized images. `synthesized` is the digest of the identity of `synthesized/`.

    Its actors are those of `embed`, which is finished by then: the same encoder, with the same settings.
    """
    pool, clip = job.settings.pools.embed, job.settings.clip
    bank_key, bank = _find_bank(job, None)
    return ScoreSynthesized(
        job.store,
        clip=clip.model_copy(update={"device": job.device(clip.device, pool)}),
        triplet=job.settings.triplet,
        size=job.images.size,
        threads=job.threads(ScoreSynthesized.name, pool),
        decoders=job.decoders(pool),
        weights=scoring.encoder,
        bank_key=bank_key,
        bank=bank,
        embeddings=scoring.embeddings,
        synthesized=synthesized,
    )


def _find_bank(job: RunContext, bank: bytes | None) -> tuple[str, str]:
    """Return the key of the bank and the SHA-256 that identifies it. `bank` is its content, if that is known."""
    if job.plan.removal is not None:
        return find_bank(job.store)
    key = f"{MIXTURE}/{BANK_FILE}"
    return key, hashlib.sha256(job.store.read(key) if bank is None else bank).hexdigest()


def _create_embed(job: RunContext, weights: str) -> Embed:
    pool, clip = job.settings.pools.embed, job.settings.clip
    threads = job.threads(Embed.name, pool)
    return Embed(
        job.store,
        clip=clip.model_copy(update={"device": job.device(clip.device, pool)}),
        images=job.images,
        threads=threads,
        decoders=job.decoders(pool),
        weights=weights,
        posts=job.posts_digest,
    )
