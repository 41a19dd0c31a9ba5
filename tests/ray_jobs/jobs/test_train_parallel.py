"""Trainings side by side: how many fit the cluster, and what happens if one fails."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from amia.errors import RunError
from ray_jobs.jobs.context import RunContext, open_context
from ray_jobs.jobs.train import prepare_training
from ray_jobs.jobs.train_parallel import TrainingTask, max_parallel, train_parallel
from ray_jobs.settings.job import Settings
from ray_jobs.storage.arm import open_arm
from ray_jobs.training.worker import Training

QUICK = ("training.epochs=1", "training.threads=1", "workers.gpus=0")


def prepare(job: RunContext, name: str) -> Training:
    return prepare_training(job, "bilstm-crf", open_arm(job.store, "original"), name)


def test_max_parallel_is_limited_by_gpus_and_cores(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings]
) -> None:
    run = copied(augmented)

    def count(*overrides: str, is_local: bool = True) -> int:
        job = open_context(str(run), small(*overrides), quiet=True)
        job = replace(job, cluster=replace(job.cluster, is_local=is_local))
        return max_parallel(TrainingTask(job=job, training=prepare(job, "same")))

    # The cluster declares 8 cores and 4 GPUs.
    assert count("workers.gpus=1", "workers.cpus=1") == 4
    assert count("workers.gpus=0.5", "workers.cpus=1") == 8
    assert count("workers.gpus=0.5", "workers.cpus=2") == 4
    assert count("workers.gpus=1", "workers.cpus=1", "workers.count=3") == 1
    assert count("workers.gpus=0", "workers.cpus=3") == 2
    # On a cluster, further ones wait, so that it grows.
    assert count("workers.gpus=1", "workers.cpus=1", is_local=False) == 32
    assert count("workers.gpus=1", "workers.cpus=1", "workers.trainings=2", is_local=False) == 4
    assert count("workers.gpus=1", "workers.cpus=1", "workers.count=3", is_local=False) == 1


def test_raises_after_all_trainings_have_ended(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(augmented)
    job = open_context(str(run), small(*QUICK))
    trainings = [prepare(job, name) for name in ("broken", "intact")]
    job.store.create("models/broken/checkpoints/epoch-00001/state.json", b"not a state")
    with pytest.raises(RunError):
        train_parallel(job, trainings)
    assert not (run / "models/broken/training.json").exists()
    assert (run / "models/intact/training.json").exists()
    output = capsys.readouterr().out
    assert "broken  failed: " in output
    assert "intact  best of 1 epochs: 1, validation F1 " in output
