"""`amia predict --run RUN`: a recognizer over the posts of an arm, as a Ray Data job."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from amia.errors import RunError, SettingsError
from amia.mixing.arms import check_arm
from amia.mner.systems import get_system
from amia.posts import canonical_split
from ray_jobs.jobs.context import RunContext, dtype_key, open_context, open_run
from ray_jobs.settings.job import Settings
from ray_jobs.stages.predict import Predict
from ray_jobs.storage.arm import Arm, open_arm
from ray_jobs.storage.fingerprint import check_or_write_identity, digest
from ray_jobs.storage.layout import shard_key
from ray_jobs.storage.model_store import Model, find_model
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_all_metadata
from ray_jobs.storage.store import Store

__all__ = ["PredictResult", "predict", "predict_by"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictResult:
    """What came out."""

    store: Store
    plan: Plan
    model: str
    """The recognizer's name."""
    arm: str
    swapped: bool
    """Whether posts were shown each other's images."""
    folder: str
    """`predictions/<model>/<arm>` of the run, with `-swapped` where images were exchanged."""
    identity: str
    """Digest of the folder's identity."""
    types: list[str]
    """Entity types that the labels are numbered by: the run's, then others that the recognizer knows."""
    shards: list[str]
    posts: int
    entities: dict[str, int]
    """By type, those that were found."""


def predict(
    run: str,
    settings: Settings,
    *,
    model: str,
    arm: str = "adaptive",
    splits: Sequence[str] | None = None,
    swap_images: bool = False,
    quiet: bool = False,
) -> PredictResult:
    """Run a recognizer over every post of some splits of a finished arm (all splits); started again, it goes on.

    `model`: the name of one that the run has trained, a folder, or a URL. `swap_images`: posts of a shard are shown
    each other's images, to see whether it looks. Raises whatever of `amia.errors` stands in the way.
    """
    check_arm(arm)
    store = Store(run)
    plan, _ = open_run(store)
    wanted = _splits(plan, splits)
    chosen, found = open_arm(store, arm), find_model(model, store)
    job = open_context(run, settings, quiet=quiet)
    if swap_images and not get_system(found.config.system).reads_images:
        job.say(f"{found.name} reads no images: exchanging them changes nothing")
    return predict_by(
        job,
        found,
        chosen,
        wanted,
        swap_images=swap_images,
        run=lambda stage, shards: job.run([(stage, settings.pools.predict)], shards),
    )


def predict_by(
    job: RunContext,
    model: Model,
    arm: Arm,
    splits: Sequence[str],
    *,
    swap_images: bool,
    run: Callable[[Predict, Sequence[str]], None],
) -> PredictResult:
    """The same, with `run` to take shards through the stage: over actors, or in this process."""
    store, plan = job.store, job.plan
    folder = f"{Predict.name}/{model.name}/{arm.name}{'-swapped' if swap_images else ''}"
    types = [*plan.types, *(kind for kind in model.config.types if kind not in plan.types)]
    stage = _stage(job, arm, model, folder, types, swap=job.settings.seed if swap_images else None)
    shards = [shard for split in splits for shard in plan.shards_of(split)]
    run(stage, shards)
    facts = read_all_metadata(store, [shard_key(folder, shard) for shard in shards])
    posts, came = sum(plan.rows_of(shard) for shard in shards), sum(each.rows for each in facts)
    if came != posts:
        raise RunError(f"{folder}: {posts} posts went in, {came} came out: report this as a bug")
    entities = sum((Counter(each.extra["entities"]) for each in facts), Counter[str]())
    return PredictResult(
        store=store,
        plan=plan,
        model=model.name,
        arm=arm.name,
        swapped=swap_images,
        folder=folder,
        identity=stage.identity,
        types=types,
        shards=shards,
        posts=posts,
        entities=dict(sorted(entities.items())),
    )


def _stage(job: RunContext, arm: Arm, model: Model, folder: str, types: Sequence[str], *, swap: int | None) -> Predict:
    pool, chosen = job.settings.pools.predict, job.settings.prediction
    threads = job.threads(folder, pool)
    device = job.device(chosen.device, pool)
    identity = {
        "stage": folder,
        "version": Predict.version,
        "settings": {
            "dtype": dtype_key(chosen.dtype, device),
            "micro_batch": chosen.micro_batch,
            "swap": swap,
            "threads": threads,
        },
        "input": {"model": model.sha256, "arm": digest(arm.content)},
    }
    return Predict(
        job.store,
        check_or_write_identity(job.store, folder, identity),
        arm=arm.name,
        folder=folder,
        model=model.address,
        sha256=model.sha256,
        types=types,
        apart=model.config.cut_apart,
        swap=swap,
        device=device,
        dtype=chosen.dtype,
        micro_batch=chosen.micro_batch,
        threads=threads,
        decoders=job.decoders(pool),
    )


def _splits(plan: Plan, asked: Sequence[str] | None) -> list[str]:
    if asked is None:
        return sorted(plan.posts)
    wanted = list(dict.fromkeys(canonical_split(name) for name in asked))
    if strange := [name for name in wanted if name not in plan.posts]:
        raise SettingsError(f"no split {strange[0]!r} in this run: there are {', '.join(sorted(plan.posts))}")
    return wanted
