"""`amia train`: a recognizer on an arm of a run, by Ray Train."""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
from ray.train.torch import TorchTrainer
from ray.util.queue import Queue

from amia.errors import AmiaError, ClusterError, RunError, StageError
from amia.mner.builder import encoder_identities
from amia.mner.systems import get_system
from amia.mner.training.trainer import EpochReport
from ray_jobs.jobs.context import RunContext, open_context
from ray_jobs.runtime.cluster import driver_node_options, resources
from ray_jobs.settings.job import Settings, Workers
from ray_jobs.storage.arm import Arm, open_arm
from ray_jobs.storage.fingerprint import Identity, check_or_write_identity
from ray_jobs.storage.layout import arm_folder
from ray_jobs.training.storage_filesystem import train_filesystem
from ray_jobs.training.streaming import READING_CPUS, UnequalSplit, stream
from ray_jobs.training.worker import Training, train_one
from ray_jobs.training.worker_messages import WorkerReporter, relay_messages

__all__ = [
    "TrainResult",
    "check_capacity",
    "fit_workers",
    "load_result",
    "prepare",
    "train",
    "train_with_workers",
    "training_identity",
    "use_streaming",
]

VERSION = 1
"""Raised by hand whenever a training's result changes for the same settings and input."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What came out."""

    folder: str
    """`models/<name>` of the run: a folder for `amia.mner.load`, `amia evaluate` and `amia predict`."""
    best: EpochReport
    epochs: int

    @property
    def name(self) -> str:
        """As `amia evaluate` and `amia predict` call it."""
        return self.folder.partition("/")[2]


def train(
    run: str, settings: Settings, *, system: str, arm: str = "adaptive", name: str | None = None, quiet: bool = False
) -> TrainResult:
    """Train one recognizer; started again, it goes on after its last finished epoch.

    Raises whatever of `amia.errors` stands in the way.
    """
    job = open_context(run, settings, quiet=quiet)
    training = prepare(job, system, open_arm(job.store, arm), name)
    if (done := load_result(training)) is not None:
        job.say(f"{training.folder} is trained already")
        return done
    workers = fit_workers(job, training.arm)
    streamed = use_streaming(workers, training.arm)
    check_capacity(job, workers, streamed)
    train_with_workers(training, workers, streamed, job.say)
    if (done := load_result(training)) is None:
        raise RunError(f"{training.folder} was not finished: start the same command again, it goes on where it stopped")
    return done


def training_identity(job: RunContext, system: str, arm: Arm, encoders: Mapping[str, str]) -> Identity:
    """What a training's result depends on; `encoders` as `encoder_identities` tells them."""
    settings = job.settings
    recipe = get_system(system).recipe
    chosen = settings.training
    return {
        "version": VERSION,
        "settings": {
            "system": system,
            "encoders": dict(encoders),
            "recognizer": settings.recognizer.model_dump(exclude={"text", "visual", "vectors"}),
            "training": {
                **chosen.model_dump(exclude={"device", "cache_gb"}),
                "batch": chosen.batch or recipe.batch,
                "epochs": chosen.epochs or recipe.epochs,
                "lr_encoder": chosen.lr_encoder or recipe.lr_encoder,
                "lr_new": chosen.lr_new or recipe.lr_new,
            },
        },
        "input": {"arm": arm.name, "files": arm.content},
    }


def prepare(
    job: RunContext, system: str, arm: Arm, name: str | None = None, identity: Identity | None = None
) -> Training:
    """Everything the workers need, with the model's folder claimed. `identity`: as `training_identity`, where it is known."""
    settings = job.settings
    if identity is None:
        identity = training_identity(job, system, arm, encoder_identities(system, settings.recognizer))
    folder = f"models/{name or f'{system}-{arm.name}-seed{settings.training.seed}'}"
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
        caches=str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amia"),
        decoders=settings.workers.decoders,
    )


def load_result(training: Training) -> TrainResult | None:
    """The finished training, or None."""
    store, key = training.arm.store, f"{training.folder}/{TRAINING_FILE}"
    if not store.exists(key):
        return None
    about = json.loads(store.read(key))
    return TrainResult(training.folder, EpochReport(**about["best"]), about["epochs"])


def fit_workers(job: RunContext, arm: Arm) -> Workers:
    """The workers as they will run: on a machine of its own they are made to fit it, with room for Ray Data."""
    workers = job.settings.workers
    if not job.machines.is_local:
        return workers
    there = resources()
    cores, gpus = there.get("CPU", 1.0), there.get("GPU", 0.0)
    room = cores - READING_CPUS if use_streaming(workers, arm) else cores
    return workers.model_copy(
        update={
            "gpus": workers.gpus if gpus >= workers.gpus * workers.count else 0.0,
            "cpus": min(workers.cpus, room / workers.count),
        }
    )


def use_streaming(workers: Workers, arm: Arm) -> bool:
    """Whether the training posts come by Ray Data."""
    if workers.feed != "auto":
        return workers.feed == "stream"
    sizes = arm.store.list_sizes(arm_folder(arm.name))
    return sum(sizes.get(key, 0) for key in arm.keys("train")) > workers.memory_mb * 1_000_000


def check_capacity(job: RunContext, workers: Workers, streamed: bool) -> None:
    """Raises ClusterError where the workers do not fit the cluster, or would leave Ray Data no core to read with.

    Without that check both would wait for ever, and say nothing.
    """
    if job.machines.autoscales:
        return
    processes = [{"CPU": workers.cpus, "GPU": workers.gpus}] * workers.count + [{"CPU": READING_CPUS}] * streamed
    there = job.machines.wait_for(processes, job.machines.wait_s(job.settings.wait_for_gpus_s))
    need = {"CPU": workers.count * workers.cpus, "GPU": workers.count * workers.gpus}
    for kind, amount in need.items():
        more = READING_CPUS if streamed and kind == "CPU" else 0.0
        if amount + more > there.get(kind, 0.0) + 1e-9:
            wants = f"{workers.count} workers take {amount:g} {kind}"
            if more:
                wants += f", and Ray Data needs {more:g} more to read with"
            raise ClusterError(
                f"{wants}, but the cluster has {there.get(kind, 0.0):g}: lower workers.count or "
                f"workers.{'gpus' if kind == 'GPU' else 'cpus'}, or add nodes"
            )


def train_with_workers(training: Training, workers: Workers, streamed: bool, say: Callable[[str], None]) -> None:
    """Train by Ray Train; `say` is told what the workers tell. Raises whatever of `amia.errors` stands in the way."""
    queue = Queue(actor_options=driver_node_options())
    arm, seed = training.arm, training.settings.seed
    files = train_filesystem(arm.store)
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"training": training, "teller": WorkerReporter(queue), "streamed": streamed},
        scaling_config=ray.train.ScalingConfig(
            num_workers=workers.count,
            use_gpu=workers.gpus > 0,
            resources_per_worker={"CPU": workers.cpus, **({"GPU": workers.gpus} if workers.gpus else {})},
        ),
        run_config=ray.train.RunConfig(
            # Another one each time: our own checkpoints say where training goes on.
            name=f"{time.time_ns():x}",
            storage_path=f"{training.folder}/ray" if files else f"{arm.store.address}/{training.folder}/ray",
            storage_filesystem=files,
            failure_config=ray.train.FailureConfig(max_failures=workers.max_failures),
        ),
        datasets={"train": stream(arm.store, arm.keys("train"), seed)} if streamed else None,
        dataset_config=UnequalSplit() if streamed else None,
    )
    with relay_messages(queue, say):
        try:
            trainer.fit()
        except (ray.exceptions.RayError, ray.train.TrainingFailedError) as error:
            raise _broken_off(training, error) from error
    arm.store.delete(f"{training.folder}/ray")


def _worker(config: dict[str, Any]) -> None:
    """In each worker: an error that a person can act on is told, and not tried again where that is safe."""
    teller, training = config["teller"], config["training"]
    if training.settings.device == "auto":
        device = str(ray.train.torch.get_device())
        training = replace(training, settings=training.settings.model_copy(update={"device": device}))
    source = ray.train.get_dataset_shard("train") if config["streamed"] else None
    try:
        train_one(training, teller, source)
    except AmiaError as error:
        teller.failed(error)
        if ray.train.get_context().get_world_size() > 1:
            raise  # the others may be waiting for this one: Ray Train must end them


def _broken_off(training: Training, error: Exception) -> StageError:
    """What nobody foresaw, in few lines; its whole text stands in the run's log."""
    failures = getattr(error, "worker_failures", None) or {0: error}
    whole = "\n\n".join(f"worker {rank}\n{failure}" for rank, failure in failures.items())
    last = str(next(iter(failures.values()))).strip().splitlines() or [type(error).__name__]
    store = training.arm.store
    key = f"log/{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}-train-error.txt"
    store.create(key, whole.encode())
    return StageError(
        f"{training.folder}: {last[-1]}\nTraining gave up after {len(failures)} workers failed: {store.address}/{key} "
        "has the traceback. Started again, the same command goes on after the last finished epoch"
    )
