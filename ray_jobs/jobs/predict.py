"""`amia predict --run RUN`: run a recognizer over the posts of an arm with Ray Data."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from amia.errors import RunError, SettingsError
from amia.mixing.arms import check_arm
from amia.mner.systems import get_system
from amia.posts import canonical_split
from ray_jobs.jobs.context import RunContext, open_context, open_run
from ray_jobs.settings.job import Settings
from ray_jobs.stages.predict import Predict
from ray_jobs.storage.arm import Arm, open_arm
from ray_jobs.storage.layout import predictions_folder
from ray_jobs.storage.model_store import Model, find_model
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store

__all__ = ["PredictResult", "predict", "run_prediction"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictResult:
    """Result of `predict`."""

    store: Store
    plan: Plan
    model: str
    """Name of the recognizer."""
    arm: str
    swapped: bool
    """Whether the images were swapped among the posts."""
    folder: str
    """`predictions/<model>/<arm>` of the run, with `-swapped` if images were swapped."""
    identity: str
    """Digest of the folder's identity."""
    types: list[str]
    """Entity types in the order of the label ids: the run's types, then further types of the recognizer."""
    shards: list[str]
    posts: int
    entities: dict[str, int]
    """Number of predicted entities by type."""


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
    """Run a recognizer over every post of a finished arm, or of some of its splits. Only missing shards are computed.

    `model`: the name of a model that the run has trained, a folder, or a URL. `swap_images`: swap the images among the
    posts of a shard, to measure whether the recognizer uses them. Raises AmiaError.
    """
    check_arm(arm)
    store = Store(run)
    plan, _ = open_run(store)
    selected_splits = _select_splits(plan, splits)
    opened_arm, recognizer = open_arm(store, arm), find_model(model, store)
    job = open_context(run, settings, quiet=quiet)
    if swap_images and not get_system(recognizer.config.system).reads_images:
        job.log(f"{recognizer.name} does not read images: swapping them has no effect")
    return run_prediction(
        job,
        recognizer,
        opened_arm,
        selected_splits,
        swap_images=swap_images,
        run_stage=lambda stage, shards: job.run([stage], shards),
    )


def run_prediction(
    job: RunContext,
    model: Model,
    arm: Arm,
    splits: Sequence[str],
    *,
    swap_images: bool,
    run_stage: Callable[[Predict, Sequence[str]], None],
) -> PredictResult:
    """Predict some splits of an arm. `run_stage` runs shards through the stage, on actors or in this process."""
    store, plan = job.store, job.plan
    folder = f"{predictions_folder(model.name, arm.name)}{'-swapped' if swap_images else ''}"
    types = [*plan.types, *(type_ for type_ in model.config.types if type_ not in plan.types)]
    stage = _create_stage(job, arm, model, folder, types, swap_seed=job.settings.seed if swap_images else None)
    shards = [shard for split in splits for shard in plan.shards_of(split)]
    run_stage(stage, shards)
    shard_metadata = list(job.facts.metadata(folder, shards))
    posts, rows = sum(plan.rows_of(shard) for shard in shards), sum(metadata.rows for metadata in shard_metadata)
    if rows != posts:
        raise RunError(f"{folder}: {posts} posts went in, {rows} came out: report this as a bug")
    entities = sum((Counter(metadata.extra["entities"]) for metadata in shard_metadata), Counter[str]())
    return PredictResult(
        store=store,
        plan=plan,
        model=model.name,
        arm=arm.name,
        swapped=swap_images,
        folder=folder,
        identity=stage.digest(),
        types=types,
        shards=shards,
        posts=posts,
        entities=dict(sorted(entities.items())),
    )


def _create_stage(
    job: RunContext, arm: Arm, model: Model, folder: str, types: Sequence[str], *, swap_seed: int | None
) -> Predict:
    pool, settings = job.settings.pools.predict, job.settings.prediction
    threads = job.threads(folder, pool)
    device = job.device(settings.device, pool)
    stage = Predict(
        job.store,
        arm=arm.name,
        arm_digest=arm.digest,
        folder=folder,
        model=model.address,
        sha256=model.sha256,
        types=types,
        split_signs=model.config.cut_apart,
        swap_seed=swap_seed,
        device=device,
        dtype=settings.dtype,
        micro_batch=settings.micro_batch,
        threads=threads,
        decode_threads=job.decoders(pool),
    )
    stage.check_or_write_identity()
    return stage


def _select_splits(plan: Plan, names: Sequence[str] | None) -> list[str]:
    """Return the named splits without repetition, or all. Raise SettingsError for a split that the run lacks."""
    if names is None:
        return sorted(plan.posts)
    splits = list(dict.fromkeys(canonical_split(name) for name in names))
    if unknown := [split for split in splits if split not in plan.posts]:
        raise SettingsError(f"no split {unknown[0]!r} in this run: there are {', '.join(sorted(plan.posts))}")
    return splits
