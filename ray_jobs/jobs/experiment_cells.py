"""A cell of an experiment: one recognizer, trained on one arm of one data set with one seed, and scored.

It is named after what it depends on, so whatever table asks for it finds the same one, and none is made twice.
"""

import json
import time
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import ray

from amia.errors import AmiaError
from amia.experiments.results import CellResult
from amia.mner.training.trainer import EpochReport
from ray_jobs.jobs.context import RunContext
from ray_jobs.jobs.evaluate import judged, publish_scores
from ray_jobs.jobs.predict import predict_by
from ray_jobs.jobs.train import (
    check_capacity,
    fit_workers,
    load_result,
    prepare,
    train_with_workers,
    training_identity,
    use_streaming,
)
from ray_jobs.runtime.cluster import resources
from ray_jobs.runtime.executor import run_locally
from ray_jobs.settings.job import Workers
from ray_jobs.stages.predict import Predict
from ray_jobs.storage.arm import Arm
from ray_jobs.storage.fingerprint import Identity, digest
from ray_jobs.storage.model_store import find_model
from ray_jobs.training.worker import Training, train_one
from ray_jobs.training.worker_messages import WorkerReporter

__all__ = ["Cell", "Outcome", "cell_of", "run_cells"]

VERSION = 1
"""Raised by hand whenever a cell's result changes for the same training and posts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One training and its evaluations; travels to the process that does them."""

    data: str
    """The data set, as the experiment names it."""
    job: RunContext
    """Of the data set, with this cell's seed among its settings."""
    training: Training
    key: str
    """Digest of everything the result depends on."""
    split: str
    swapped: tuple[bool, ...]
    """The evaluations: on every post's own image, on another's, or both."""

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.data}, {self.training.system}, {self.training.arm.name}, seed {self.training.settings.seed}"

    def result(self, swapped: bool) -> str:
        """Key of a result in the data set's run; a cell whose results stand there is finished."""
        return f"cells/{self.key}{'-swapped' if swapped else ''}.json"

    def unfinished(self) -> list[bool]:
        """The evaluations that have yet to be published."""
        return [swapped for swapped in self.swapped if not self.job.store.exists(self.result(swapped))]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a cell ended."""

    cell: Cell
    f1: float | None
    """On the scored posts, in [0, 1]; None where it failed."""
    seconds: float
    error: str = ""
    """What a person can act on, or the last line of what nobody foresaw."""
    whole: str = ""
    """The traceback of the latter."""


def cell_of(
    data: str,
    job: RunContext,
    arm: Arm,
    system: str,
    encoders: Mapping[str, str],
    *,
    seed: int,
    split: str,
    swapped: Collection[bool],
) -> Cell:
    """The cell of a system on an arm, with its model's folder claimed; `encoders` as `encoder_identities` tells."""
    settings = job.settings
    settings = settings.model_copy(update={"training": settings.training.model_copy(update={"seed": seed})})
    if not settings.workers.gpus and settings.prediction.device == "auto":
        # It is scored where it was trained, whatever the pool of `amia predict` would take.
        settings = settings.model_copy(update={"prediction": settings.prediction.model_copy(update={"device": "cpu"})})
    job = RunContext(job.store, settings, job.plan, job.posts, job.machines, job.quiet)
    identity = training_identity(job, system, arm, encoders)
    key = _key(job, identity, split)
    training = prepare(job, system, arm, f"{system}-{arm.name}-seed{seed}-{key[:8]}", identity)
    return Cell(data=data, job=job, training=training, key=key, split=split, swapped=tuple(sorted(swapped)))


def _key(job: RunContext, identity: Identity, split: str) -> str:
    """Without the arm's name: two arms with the same rows are the same cell."""
    prediction = job.settings.prediction
    return digest(
        {
            **identity,
            "input": identity["input"]["files"],
            "evaluation": {
                "versions": [VERSION, Predict.version],
                "split": split,
                "prediction": prediction.model_dump(exclude={"device"}),
                "threads": job.settings.pools.predict.threads,
                "seed": job.settings.seed,
            },
        }
    )


def run_cells(cells: Sequence[Cell]) -> Iterator[Outcome]:
    """Finish those that are not finished, as many side by side as there is room for; yields as each ends.

    A cell of one worker is one Ray task. One of several, or one whose posts are streamed, is trained by Ray Train.
    Raises ClusterError where the workers of one cell do not fit the cluster.
    """
    waiting = [cell for cell in cells if cell.unfinished()]
    running: dict[ray.ObjectRef[Outcome], Cell] = {}
    while waiting or running:
        while waiting and len(running) < _side_by_side(waiting[0]):
            cell = waiting.pop(0)
            running[_start(cell)] = cell
        ended, _ = ray.wait(list(running), num_returns=1)
        cell = running.pop(ended[0])
        try:
            yield ray.get(ended[0])
        except ray.exceptions.RayError as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            yield Outcome(cell, None, 0.0, said[-1], str(error))


def _side_by_side(cell: Cell) -> int:
    """How many such cells the cluster has room for now, one at least."""
    workers, there = fit_workers(cell.job, cell.training.arm), resources()
    need = {"CPU": workers.count * workers.cpus, "GPU": workers.count * workers.gpus}
    return max(1, min(int(there.get(kind, 0.0) / amount + 1e-9) for kind, amount in need.items() if amount))


def _start(cell: Cell) -> "ray.ObjectRef[Outcome]":
    workers = fit_workers(cell.job, cell.training.arm)
    streamed = use_streaming(workers, cell.training.arm)
    if workers.count == 1 and not streamed:
        return _task(workers, cell)
    check_capacity(cell.job, workers, streamed)
    # Of no cores of its own: it only waits for the workers.
    started: ray.ObjectRef[Outcome] = ray.remote(_by_workers).options(num_cpus=0).remote(cell, workers, streamed)
    return started


def _task(workers: Workers, cell: Cell) -> "ray.ObjectRef[Outcome]":
    task = ray.remote(_here).options(num_cpus=workers.cpus, num_gpus=workers.gpus, max_retries=workers.max_failures)
    started: ray.ObjectRef[Outcome] = task.remote(cell)
    return started


def _here(cell: Cell) -> Outcome:
    """Train in this process, and score."""
    begun = time.monotonic()
    try:
        if load_result(cell.training) is None:
            train_one(cell.training, _Mute())
        return Outcome(cell, _score(cell), time.monotonic() - begun)
    except Exception as error:  # noqa: BLE001  # told in the driver, which goes on with the other cells
        return _failed(cell, error, begun)


def _by_workers(cell: Cell, workers: Workers, streamed: bool) -> Outcome:
    """Train by Ray Train; scoring takes one worker's room."""
    begun = time.monotonic()
    try:
        if load_result(cell.training) is None:
            train_with_workers(cell.training, workers, streamed, lambda said: None)
        done = ray.get(_task(workers, cell))
    except Exception as error:  # noqa: BLE001  # as in `_here`
        return _failed(cell, error, begun)
    return Outcome(cell, done.f1, time.monotonic() - begun, done.error, done.whole)


def _score(cell: Cell) -> float:
    """Publish the results that lack. F1 on the posts with their own images, or of what there is."""
    job, arm = cell.job, cell.training.arm
    model = find_model(cell.training.folder.partition("/")[2], job.store)
    f1 = 0.0
    for swapped in sorted(cell.unfinished(), reverse=True):
        done = predict_by(job, model, arm, [cell.split], swap_images=swapped, run=run_locally)
        posts = judged(done)
        publish_scores(done, cell.split, posts)
        result = CellResult.of(
            posts,
            data=cell.data,
            recognizer=cell.training.system,
            arm=arm.name,
            seed=cell.training.settings.seed,
            swapped=swapped,
        )
        job.store.create(cell.result(swapped), json.dumps(result.to_json()).encode())
        f1 = result.score().f1
    return f1


def _failed(cell: Cell, error: Exception, begun: float) -> Outcome:
    said = str(error).strip().splitlines() or [type(error).__name__]
    foreseen = isinstance(error, AmiaError)
    whole = "" if foreseen else "".join(traceback.format_exception(error))
    return Outcome(cell, None, time.monotonic() - begun, str(error) if foreseen else said[-1], whole)


class _Mute(WorkerReporter):
    """Of many trainings at once nobody reads the epochs; their curves stand in the run."""

    def __init__(self) -> None:
        """No queue: nobody listens."""

    def say(self, line: str) -> None:
        """Nothing."""

    def epoch(self, told: EpochReport) -> None:
        """Nothing."""
