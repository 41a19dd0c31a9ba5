"""The bank of negatives and the two-component mixture of eq. 8, which the driver computes before and after scoring.

Both are published once under `mixture/` and never change. `mixture.json` and `bank.safetensors` are also what
`--mixture` takes from another run.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from amia.errors import MixtureError
from amia.hub import resolve_path
from amia.matching.bank import Bank
from amia.matching.gmm_fit import DIRECT_LIMIT, MixtureFit, fit_histogram, fit_mixture
from amia.matching.histogram import LossHistogram
from amia.matching.model import BANK_FILE, MIXTURE_FILE, MatchingModel, fit_groups, newest_files
from ray_jobs.jobs.execution_plan import RunPlan, count_with_image
from ray_jobs.stages.score import histogram_counts
from ray_jobs.storage.earlier import absolute_address
from ray_jobs.storage.embeddings import read_embeddings
from ray_jobs.storage.facts import ShardFacts
from ray_jobs.storage.fingerprint import check_or_write_identity
from ray_jobs.storage.layout import EMBEDDINGS, MIXTURE, SCORES, shard_keys
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import ShardMetadata, read_shards
from ray_jobs.storage.store import Store

if TYPE_CHECKING:  # reading a mixture does not need Ray
    from ray_jobs.jobs.context import RunContext

__all__ = [
    "find_bank",
    "fit_model",
    "load_other_model",
    "mean_theta",
    "publish_bank",
    "publish_other_model",
    "read_matching_model",
]


def load_other_model(job: "RunContext", run_plan: RunPlan, mixture: str | None) -> MatchingModel | None:
    """Load the mixture that is given, that of the earlier run, or the one that ships with the preset.

    Returns None if it is to be fitted on this run. Raises MixtureError if the earlier run has none yet.
    """
    earlier = job.plan.earlier
    if earlier and mixture is not None and absolute_address(mixture) not in earlier:
        raise MixtureError(f"this run comes after {earlier[-1]} and takes its mixture: leave --mixture {mixture} out")
    if mixture is not None or earlier:
        return _load_given(mixture or earlier[-1])
    if run_plan.mixture_source != "shipped" or job.settings.shipped_mixture is None:
        return None
    job.log(
        f"{run_plan.num_fit_images} posts with an image are too few to fit a mixture on (at least "
        f"{job.settings.mixture.min_losses} are needed): using the one that ships with this preset "
        f"({job.settings.shipped_mixture})"
    )
    return MatchingModel.load(resolve_path(job.settings.shipped_mixture))


def publish_other_model(store: Store, plan: Plan, model: MatchingModel) -> bytes:
    """Publish bank and mixture from elsewhere, and return the bank. Raises IdentityError for another mixture."""
    files = model.to_bytes()
    identity = {"stage": MIXTURE, "version": 1, "settings": {"taken": model.digest}, "input": {}}
    check_or_write_identity(store, MIXTURE, identity)
    if plan.removal is not None and (own := read_matching_model(store)) is not None:
        return own.bank.to_bytes()  # in which removed posts may have been replaced
    for name in (BANK_FILE, MIXTURE_FILE):
        store.create(f"{MIXTURE}/{name}", files[name])
    return store.read(f"{MIXTURE}/{BANK_FILE}")


def publish_bank(job: "RunContext", shards: Sequence[str], embeddings: str) -> bytes:
    """Publish the bank: the first `triplet.bank` posts with an image of some embedded shards, in the plan's order.

    Returns the published bank, which is computed once: the identity of `mixture/` covers everything in it.
    `embeddings` is the digest of `embeddings/`. Raises IdentityError if the run has another bank or mixture.
    """
    store, size = job.store, job.settings.triplet.bank
    settings = {"mixture": job.settings.mixture.model_dump(), "bank": size}
    identity = {"stage": MIXTURE, "version": 1, "settings": settings, "input": {"embeddings": embeddings}}
    check_or_write_identity(store, MIXTURE, identity)
    if job.plan.removal is not None and (model := read_matching_model(store)) is not None:
        return model.bank.to_bytes()  # in which removed posts may have been replaced
    key = f"{MIXTURE}/{BANK_FILE}"
    if (published := store.find(key)) is not None:
        return published
    tables = read_shards(store, shard_keys(EMBEDDINGS, shards), None, job.facts.sizes(EMBEDDINGS))
    bank = Bank.of([read_embeddings(table)[0] for table in tables], size).to_bytes()
    return bank if store.create(key, bank) else store.read(key)  # of two drivers, the first one's


def fit_model(job: "RunContext", encoder: str, bank: bytes, *, accept_mixture: bool) -> MatchingModel:
    """Return the published mixture, or fit it on the losses of `scores/` and publish it.

    `encoder` identifies the encoder's weights, `bank` is the content of the published bank. Raises MixtureError if a
    check rejects the fit and `accept_mixture` is not set.
    """
    store = job.store
    if (existing := read_matching_model(store, bank=None if job.plan.removal else bank)) is not None:
        return existing
    model = _fit_losses(job, encoder, bank)
    for name, fit in model.fits.items():
        job.log(f"{MIXTURE} ({name}): {fit.summary}")
        for warning in fit.warnings:
            job.log(f"{MIXTURE} ({name}): {warning}")
        if fit.rejection_reason and not accept_mixture:
            raise MixtureError(
                f"the mixture on {name} is not reliable: {fit.rejection_reason}. Give --mixture RUN|FOLDER to use the "
                "mixture of another run, or --accept-mixture to continue with this one"
            )
    store.create(f"{MIXTURE}/{MIXTURE_FILE}", model.to_bytes()[MIXTURE_FILE])
    return read_matching_model(store, bank=bank) or model  # of two drivers, the first one's


def read_matching_model(
    store: Store, folder: str = MIXTURE, bank: bytes | None = None, *, before: int | None = None
) -> MatchingModel | None:
    """Return the frozen mixture and its bank, or None before the fit. `before`: as they were before a renewal.

    `bank` is the content of the bank if no posts were removed from the run; otherwise the last generation is read.
    """
    names = (MIXTURE_FILE, BANK_FILE)
    if bank is None:
        names = newest_files((PurePosixPath(key).name for key in store.list(folder)), before)
    if (mixture := store.find(f"{folder}/{names[0]}")) is None:
        return None
    bank = store.read(f"{folder}/{names[1]}") if bank is None else bank
    return MatchingModel.from_bytes(mixture, bank, where=f"{store.address}/{folder}/{names[0]}")


def find_bank(store: Store) -> tuple[str, str]:
    """Return the key of the published bank, and the SHA-256 of the bank that the losses of `scores/` are defined by.

    They differ if posts of the bank were removed from the run and replaced.
    """
    _, bank = newest_files(PurePosixPath(key).name for key in store.list(MIXTURE))
    key, model = f"{MIXTURE}/{bank}", read_matching_model(store)
    return key, hashlib.sha256(store.read(key)).hexdigest() if model is None else model.bank_digest


def mean_theta(facts: ShardFacts, plan: Plan, model: MatchingModel) -> float:
    """Return the mean of theta over the posts of bank and fit, from the histograms of their losses: within 5e-4."""
    centers = LossHistogram(model.triplet.margin).centers
    total, posts = 0.0, 0
    for split in plan.fit_splits():
        counts = histogram_counts(facts.metadata(SCORES, plan.shards_of(split)))
        filled = np.flatnonzero(counts)
        if len(filled):  # a split without images has no mixture
            total += float(counts[filled] @ model.theta(centers[filled], split))
            posts += int(counts.sum())
    return total / posts


def _load_given(mixture: str) -> MatchingModel:
    """Load the mixture of a run or a folder, on a disk or in an object store."""
    store = Store(mixture)
    if store.folder is not None:
        return MatchingModel.load(store.folder / MIXTURE if (store.folder / MIXTURE).is_dir() else store.folder)
    parent, _, name = mixture.rstrip("/").rpartition("/")
    model = read_matching_model(store) or read_matching_model(Store(parent), name)
    if model is None:
        raise MixtureError(
            f"{mixture}: no frozen mixture found: this is neither a run with a mixture nor the folder of one"
        )
    return model


def _fit_losses(job: "RunContext", encoder: str, bank: bytes) -> MatchingModel:
    """Fit eq. 8 on the losses in `scores/`: on the losses themselves up to a million, on their histogram beyond."""
    facts, plan, triplet = job.facts, job.plan, job.settings.triplet
    scored = [split for split in sorted(plan.posts) if any(count_with_image(facts, plan.shards_of(split)))]
    groups = fit_groups(job.settings.mixture.fit_on, scored)
    fit_splits = plan.fit_splits()
    histograms: dict[str, NDArray[np.int64]] = {}
    ranges: list[tuple[float, float]] = []  # of the cosine

    def scan(split: str) -> Iterator[ShardMetadata]:
        for footer in facts.metadata(SCORES, plan.shards_of(split)):
            if split in fit_splits and footer.extra["cosine"]:
                ranges.append(footer.extra["cosine"])
            yield footer

    for split in sorted({*fit_splits, *(split for splits in groups.values() for split in splits)}):
        histograms[split] = histogram_counts(scan(split))
    fits = {
        name: _fit_group(job, splits, np.sum([histograms[split] for split in splits], axis=0))
        for name, splits in groups.items()
    }
    cosine_range = (min(low for low, _ in ranges), max(high for _, high in ranges))
    return MatchingModel(fits, Bank.from_bytes(bank), {"encoder": encoder}, triplet, cosine_range)


def _fit_group(job: "RunContext", splits: Sequence[str], counts: NDArray[np.int64]) -> MixtureFit:
    """Fit one mixture. `counts`: histogram of the losses of the splits, `[BINS]`."""
    if counts.sum() > DIRECT_LIMIT:
        return fit_histogram(counts, LossHistogram(job.settings.triplet.margin), job.settings.mixture)
    keys = [key for split in splits for key in shard_keys(SCORES, job.plan.shards_of(split))]
    tables = read_shards(job.store, keys, ["loss"], job.facts.sizes(SCORES))
    losses = np.concatenate([table["loss"].drop_null().to_numpy() for table in tables])
    if not len(losses):
        raise MixtureError("no post with an image to fit the mixture on")
    return fit_mixture(losses, job.settings.mixture)
