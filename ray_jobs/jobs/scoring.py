"""How well text and image of each post match (paper 3.1, 3.2): embed, score, fit."""

import hashlib
from dataclasses import dataclass

from amia.hub import fetch_model, weights_identity
from amia.matching.model import BANK_FILE, MatchingModel
from ray_jobs.jobs.context import RunContext
from ray_jobs.jobs.execution_plan import RunPlan
from ray_jobs.jobs.mixture import fit_model, load_other_model, publish_bank, publish_other_model
from ray_jobs.stages.embed import Embed
from ray_jobs.stages.score import Score
from ray_jobs.storage.layout import MIXTURE

__all__ = ["ScoringResult", "score_posts"]


@dataclass(frozen=True, slots=True)
class ScoringResult:
    """Result of `score_posts`. Both fields are None if no post has an image."""

    model: MatchingModel | None
    """The frozen mixture with its bank."""
    scores: str | None
    """Digest of the identity of `scores/`."""


def score_posts(job: RunContext, run_plan: RunPlan, *, mixture: str | None, accept_mixture: bool) -> ScoringResult:
    """Embed and score all posts, and fit the mixture unless it comes from elsewhere.

    `mixture` is the run or folder whose mixture and bank are used. Raises MixtureError if the fit is rejected and
    `accept_mixture` is not set.
    """
    settings, store = job.settings, job.store
    executions = run_plan.executions
    if not executions.score:
        job.log("no post has a usable image: theta is 0 for all posts, and no mixture is fitted")
        return ScoringResult(None, None)
    weights = weights_identity(settings.clip.model, fetch_model("encoder", settings.clip.model, settings.clip.commit))
    other = load_other_model(job, run_plan, mixture)
    embed = _create_embed(job, weights)
    embed.check_or_write_identity()
    if other is None:
        job.run([embed], run_plan.shards_of(executions.embed_bank))
        publish_bank(job, run_plan.shards["bank"], embed.digest())
    else:
        other.check({"encoder": weights}, settings.triplet)
        publish_other_model(store, other)
    bank_key = f"{MIXTURE}/{BANK_FILE}"
    score = Score(
        store,
        triplet=settings.triplet,
        bank_key=bank_key,
        bank=hashlib.sha256(store.read(bank_key)).hexdigest(),
        embeddings=embed.digest(),
    )
    score.check_or_write_identity()
    job.run([embed, score], run_plan.shards_of(executions.score))
    return ScoringResult(fit_model(job, weights, accept_mixture=accept_mixture), score.digest())


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
