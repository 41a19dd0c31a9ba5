"""Train several recognizers side by side, as many at a time as the cluster has room for.

A training with one worker is one Ray task. A training with several workers, or with streamed posts, runs on Ray Train.
"""

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import ray

from amia.errors import AmiaError, RunError, StageError
from ray_jobs.jobs.context import RunContext
from ray_jobs.jobs.train import (
    TrainResult,
    check_capacity,
    fit_workers,
    load_result,
    train_with_workers,
    use_streaming,
    write_traceback,
)
from ray_jobs.runtime.cluster import resources
from ray_jobs.settings.job import Workers
from ray_jobs.training.worker import Training, train_recognizer
from ray_jobs.training.worker_messages import WorkerReporter

__all__ = ["TaskOutcome", "TrainingTask", "max_parallel", "run_parallel", "train_parallel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTask:
    """A training together with the context of its run. It travels to other processes by pickle."""

    job: RunContext
    training: Training


Task = TypeVar("Task", bound=TrainingTask)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOutcome(Generic[Task, Result]):
    """Result or error of one task of `run_parallel`."""

    task: Task
    seconds: float
    result: Result | None = None
    """None if the task failed."""
    error: AmiaError | None = None
    """The error of a failed task. If it was unexpected: a StageError that says where its traceback is."""


def train_parallel(job: RunContext, trainings: Sequence[Training]) -> list[TrainResult]:
    """Train all recognizers that are not finished. Return the results in the order of `trainings`.

    Raises the first error after all trainings have ended; the results of the others are published.
    """
    tasks = [TrainingTask(job=job, training=training) for training in trainings if load_result(training) is None]
    errors: list[AmiaError] = []
    for outcome in run_parallel(tasks, _load_task_result):
        name = outcome.task.training.name
        if outcome.error is not None:
            job.log(f"{name}  failed: {outcome.error}")
            errors.append(outcome.error)
        elif (result := outcome.result) is not None:
            best = f"best of {result.epochs} epochs: {result.best.epoch}, validation F1 {result.best.f1:.4f}"
            job.log(f"{name}  {best} ({outcome.seconds:,.0f} s)")
    if errors:
        raise errors[0]
    results = [result for training in trainings if (result := load_result(training)) is not None]
    if len(results) < len(trainings):
        raise RunError("not all trainings are finished: start the same command again to continue")
    return results


def run_parallel(tasks: Sequence[Task], finish: Callable[[Task], Result]) -> Iterator[TaskOutcome[Task, Result]]:
    """Train the tasks side by side, call `finish` for each in the process that trained it, and yield as each ends.

    A task whose training is already finished goes straight to `finish`, which takes the resources of one worker. An
    error of one task does not stop the others. Raises ClusterError if the workers of one task do not fit the cluster.
    """
    waiting = list(tasks)
    running: dict[ray.ObjectRef[TaskOutcome[Task, Result]], Task] = {}
    while waiting or running:
        while waiting and len(running) < max_parallel(waiting[0]):
            task = waiting.pop(0)
            running[_start(task, finish)] = task
        (ended,), _ = ray.wait(list(running), num_returns=1)
        task = running.pop(ended)
        try:
            yield ray.get(ended)
        except ray.exceptions.RayError as error:
            yield _failure(task, error, 0.0)


def max_parallel(task: TrainingTask) -> int:
    """Return how many such tasks to submit at a time: as many as there is room for, at least one.

    On a cluster, tasks of one process are submitted up to `workers.trainings`: those that wait make an autoscaler add
    machines.
    """
    workers, available = fit_workers(task.job, task.training.arm), resources()
    needed = {"CPU": workers.count * workers.cpus, "GPU": workers.count * workers.gpus}
    fitting = max(1, min(int(available.get(kind, 0.0) / amount + 1e-9) for kind, amount in needed.items() if amount))
    if task.job.cluster.is_local or not _is_one_process(task, workers):
        return fitting
    return max(fitting, workers.trainings)


def _start(task: Task, finish: Callable[[Task], Result]) -> "ray.ObjectRef[TaskOutcome[Task, Result]]":
    workers = fit_workers(task.job, task.training.arm)
    if _is_one_process(task, workers):
        return _submit(workers, task, finish)
    streaming = use_streaming(workers, task.training.arm)
    check_capacity(task.job, workers, streaming)
    # The task itself takes no cores: it only waits for the workers.
    remote: Any = ray.remote(_train_with_ray_train).options(num_cpus=0)
    outcome: ray.ObjectRef[TaskOutcome[Task, Result]] = remote.remote(task, finish, workers, streaming)
    return outcome


def _is_one_process(task: TrainingTask, workers: Workers) -> bool:
    """Return whether a Ray task trains, without Ray Train."""
    return workers.count == 1 and not use_streaming(workers, task.training.arm)


def _submit(
    workers: Workers, task: Task, finish: Callable[[Task], Result]
) -> "ray.ObjectRef[TaskOutcome[Task, Result]]":
    """Submit a Ray task with the resources of one worker."""
    function: Any = ray.remote(_train_in_process)
    remote = function.options(num_cpus=workers.cpus, num_gpus=workers.gpus, max_retries=workers.max_failures)
    outcome: ray.ObjectRef[TaskOutcome[Task, Result]] = remote.remote(task, finish)
    return outcome


def _train_in_process(task: Task, finish: Callable[[Task], Result]) -> TaskOutcome[Task, Result]:
    """Train in this process unless the training is finished, then call `finish`."""
    started = time.monotonic()
    try:
        if load_result(task.training) is None:
            train_recognizer(task.training, WorkerReporter())
        return TaskOutcome(task=task, seconds=time.monotonic() - started, result=finish(task))
    except Exception as error:  # noqa: BLE001  # the driver reports it and continues with the other tasks
        return _failure(task, error, time.monotonic() - started)


def _train_with_ray_train(
    task: Task, finish: Callable[[Task], Result], workers: Workers, streaming: bool
) -> TaskOutcome[Task, Result]:
    """Train with Ray Train unless the training is finished, then call `finish` in a task of one worker's size."""
    started = time.monotonic()
    try:
        if load_result(task.training) is None:
            train_with_workers(task.training, workers, streaming, log=lambda line: None)
        outcome = ray.get(_submit(workers, task, finish))
    except Exception as error:  # noqa: BLE001  # as in `_train_in_process`
        return _failure(task, error, time.monotonic() - started)
    return replace(outcome, seconds=time.monotonic() - started)


def _failure(task: Task, error: Exception, seconds: float) -> TaskOutcome[Task, Result]:
    if not isinstance(error, AmiaError):
        lines = str(error).strip().splitlines() or [type(error).__name__]
        text = "".join(traceback.format_exception(error))
        address = write_traceback(task.job.store, task.training.name, text)
        error = StageError(f"{lines[-1]}\n{address} has the traceback.")
    return TaskOutcome(task=task, seconds=seconds, error=error)


def _load_task_result(task: TrainingTask) -> TrainResult | None:
    return load_result(task.training)
