"""`amia train`: train a recognizer on an arm of a run, with Ray Train.

`train` runs here, in the driver; `ray_jobs.training.worker` runs in each worker; `amia.mner.training.trainer` holds the
epochs and steps.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ray
import ray.train
from ray.train.torch import TorchTrainer
from ray.util.queue import Queue

from amia.errors import ClusterError, RunError, StageError
from amia.mner.builder import encoder_identities
from amia.mner.systems import get_system
from amia.mner.training.trainer import EpochReport
from ray_jobs.jobs.context import RunContext, open_context
from ray_jobs.runtime.cluster import driver_node_options, resources
from ray_jobs.settings.job import Settings, Workers
from ray_jobs.storage.arm import Arm, open_arm
from ray_jobs.storage.fingerprint import Identity, check_or_write_identity
from ray_jobs.storage.layout import LOG, RAY_TRAIN, TRAINING_FILE, arm_folder, model_folder
from ray_jobs.storage.model_store import cache_folder
from ray_jobs.storage.store import Store
from ray_jobs.training.storage_filesystem import train_filesystem
from ray_jobs.training.streaming import READ_TASK_CPUS, UnequalSplit, stream_posts
from ray_jobs.training.worker import Training, train_loop_per_worker
from ray_jobs.training.worker_messages import WorkerReporter, relay_messages

__all__ = [
    "TrainResult",
    "check_capacity",
    "fit_workers",
    "load_result",
    "prepare_training",
    "small_share_warning",
    "train",
    "train_with_workers",
    "training_identity",
    "use_streaming",
    "write_traceback",
]

VERSION = 1
"""Increment when the result of a training changes for the same settings and input."""


MIN_WORKER_BATCH = 16
"""Posts of a batch below which a GPU waits for the gradients of the others longer than it computes."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """Result of `train`."""

    folder: str
    """`models/<name>` of the run: a folder for `amia.mner.load`, `amia evaluate` and `amia predict`."""
    best: EpochReport
    epochs: int

    @property
    def name(self) -> str:
        """Name of the model, as `amia evaluate` and `amia predict` take it."""
        return self.folder.partition("/")[2]


def train(
    run: str,
    settings: Settings,
    *,
    system: str,
    arm: str = "adaptive",
    name: str | None = None,
    with_earlier: bool = False,
    quiet: bool = False,
) -> TrainResult:
    """Train one recognizer. When started again, continue after the last finished epoch.

    `with_earlier`: train on the posts of the runs that this one comes after, too. Raises AmiaError.
    """
    job = open_context(run, settings, with_earlier=with_earlier, quiet=quiet)
    training = prepare_training(job, system, open_arm(job.store, arm), name)
    if (result := load_result(training)) is not None:
        job.log(f"{training.folder} is trained already")
        return result
    workers = fit_workers(job, training.arm)
    streaming = use_streaming(workers, training.arm)
    check_capacity(job, workers, streaming)
    if warning := small_share_warning(workers, training.identity["settings"]["training"]["batch"]):
        job.log(warning)
    train_with_workers(training, workers, streaming, job.log)
    if (result := load_result(training)) is None:
        raise RunError(f"{training.folder} is not finished: start the same command again to continue")
    return result


def prepare_training(
    job: RunContext, system: str, arm: Arm, name: str | None = None, identity: Identity | None = None
) -> Training:
    """Check or write the identity of the model's folder, and collect what the workers need.

    `identity`: the value of `training_identity`, if the caller has computed it.
    """
    settings = job.settings
    if identity is None:
        identity = training_identity(job, system, arm, encoder_identities(system, settings.recognizer))
    folder = model_folder(name or f"{system}-{arm.name}-seed{settings.training.seed}")
    identity = {"stage": folder, **identity}
    check_or_write_identity(job.store, folder, identity)
    return Training(
        arm=arm,
        folder=folder,
        system=system,
        types=job.plan.types,
        recognizer=settings.recognizer,
        settings=settings.training,
        identity=identity,
        cache_folder=str(cache_folder()),
        decode_threads=settings.workers.decoders,
    )


def training_identity(job: RunContext, system: str, arm: Arm, encoders: Mapping[str, str]) -> Identity:
    """Return everything that the result of a training depends on. `encoders`: from `encoder_identities`."""
    recipe = get_system(system).recipe
    training = job.settings.training
    return {
        "version": VERSION,
        "settings": {
            "system": system,
            "encoders": dict(encoders),
            "recognizer": job.settings.recognizer.model_dump(exclude={"text", "visual", "vectors"}),
            "training": {
                **training.model_dump(exclude={"device", "cache_gb"}),
                "batch": training.batch or recipe.batch,
                "epochs": training.epochs or recipe.epochs,
                "lr_encoder": training.lr_encoder or recipe.lr_encoder,
                "lr_new": training.lr_new or recipe.lr_new,
            },
        },
        "input": {"arm": arm.name, "files": arm.content},
    }


def load_result(training: Training) -> TrainResult | None:
    """Read the result of a finished training; None before it has finished."""
    store, key = training.arm.store, f"{training.folder}/{TRAINING_FILE}"
    if not store.exists(key):
        return None
    summary = json.loads(store.read(key))
    return TrainResult(training.folder, EpochReport(**summary["best"]), summary["epochs"])


def fit_workers(job: RunContext, arm: Arm) -> Workers:
    """Return the workers as they will run: on a local Ray they are reduced to fit it, with room for Ray Data."""
    workers = job.settings.workers
    if not job.cluster.is_local:
        return workers
    available = resources()
    cores, gpus = available.get("CPU", 1.0), available.get("GPU", 0.0)
    worker_cores = cores - READ_TASK_CPUS if use_streaming(workers, arm) else cores
    return workers.model_copy(
        update={
            "gpus": workers.gpus if gpus >= workers.gpus * workers.count else 0.0,
            "cpus": min(workers.cpus, worker_cores / workers.count),
        }
    )


def use_streaming(workers: Workers, arm: Arm) -> bool:
    """Return whether Ray Data streams the training posts; otherwise each worker holds them in memory."""
    if workers.feed != "auto":
        return workers.feed == "stream"
    sizes = arm.store.list_sizes(arm_folder(arm.name))
    return sum(sizes.get(key, 0) for key in arm.keys("train")) > workers.memory_mb * 1_000_000


def check_capacity(job: RunContext, workers: Workers, streaming: bool) -> None:
    """Check that the cluster can run all workers and, with streaming, a task of Ray Data that reads shards.

    Raises ClusterError if it cannot: workers or Ray Data would otherwise wait forever without a message.
    """
    if job.cluster.autoscales:
        return
    processes = [{"CPU": workers.cpus, "GPU": workers.gpus}] * workers.count + [{"CPU": READ_TASK_CPUS}] * streaming
    available = job.cluster.wait_for(processes, job.cluster.wait_s(job.settings.wait_for_gpus_s))
    needed = {"CPU": workers.count * workers.cpus, "GPU": workers.count * workers.gpus}
    for kind, amount in needed.items():
        read_cpus = READ_TASK_CPUS if streaming and kind == "CPU" else 0.0
        if amount + read_cpus > available.get(kind, 0.0) + 1e-9:
            demand = f"{workers.count} workers take {amount:g} {kind}"
            if read_cpus:
                demand += f", and Ray Data needs {read_cpus:g} more to read shards"
            raise ClusterError(
                f"{demand}, but the cluster has {available.get(kind, 0.0):g}: lower workers.count or "
                f"workers.{'gpus' if kind == 'GPU' else 'cpus'}, or add nodes"
            )


def small_share_warning(workers: Workers, batch: int) -> str | None:
    """Return a warning if the GPUs of several workers have too few posts of a batch each; None otherwise."""
    share = batch / workers.count
    if workers.count == 1 or not workers.gpus or share >= MIN_WORKER_BATCH:
        return None
    return (
        f"{share:g} posts of a batch for each of {workers.count} workers: their GPUs will mostly wait for each other's "
        "gradients. Lower workers.count, or raise training.batch"
    )


def train_with_workers(training: Training, workers: Workers, streaming: bool, log: Callable[[str], None]) -> None:
    """Train with Ray Train, and pass the workers' messages to `log`. Raises AmiaError."""
    queue = Queue(actor_options=driver_node_options())
    arm, seed = training.arm, training.settings.seed
    state_folder = f"{training.folder}/{RAY_TRAIN}"
    filesystem, storage_path = train_filesystem(arm.store, state_folder)
    trainer = TorchTrainer(
        train_loop_per_worker,
        train_loop_config={"training": training, "reporter": WorkerReporter(queue), "streaming": streaming},
        scaling_config=ray.train.ScalingConfig(
            num_workers=workers.count,
            use_gpu=workers.gpus > 0,
            resources_per_worker={"CPU": workers.cpus, **({"GPU": workers.gpus} if workers.gpus else {})},
        ),
        run_config=ray.train.RunConfig(
            # A new name each time, so that Ray Train restores nothing: training resumes from amia's own checkpoints.
            name=f"{time.time_ns():x}",
            storage_path=storage_path,
            storage_filesystem=filesystem,
            failure_config=ray.train.FailureConfig(max_failures=workers.max_failures),
        ),
        datasets={"train": stream_posts(arm.store, arm.keys("train"), seed)} if streaming else None,
        dataset_config=UnequalSplit() if streaming else None,
    )
    with relay_messages(queue, log):
        try:
            trainer.fit()
        except (ray.exceptions.RayError, ray.train.TrainingFailedError) as error:
            raise _training_failed(training, error) from error
    arm.store.delete(state_folder)


def write_traceback(store: Store, label: str, text: str) -> str:
    """Write the text of an unexpected error to the run's log, and return its address."""
    key = f"{LOG}/{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{label}-error.txt"
    store.create(key, text.encode())
    return f"{store.address}/{key}"


def _training_failed(training: Training, error: Exception) -> StageError:
    """Summarize an unexpected error, and write its full text to the run's log."""
    failures = getattr(error, "worker_failures", None) or {0: error}
    text = "\n\n".join(f"worker {rank}\n{failure}" for rank, failure in failures.items())
    lines = str(next(iter(failures.values()))).strip().splitlines() or [type(error).__name__]
    address = write_traceback(training.arm.store, training.name, text)
    return StageError(
        f"{training.folder}: {lines[-1]}\nTraining failed in {len(failures)} workers: {address} has the traceback. "
        "Start the same command again to continue after the last finished epoch"
    )
