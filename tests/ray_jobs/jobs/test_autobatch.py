"""The micro-batch of a run: as set, as begun, or as the memory of a GPU allows. GPUs are declared and their memory is
simulated; Ray is real."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amia.errors import ClusterError, IdentityError, ModelError, StageError
from amia.synthesis.settings import GeneratorSettings
from ray_jobs.jobs import autobatch as proposing
from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.autobatch import PROPOSAL, micro_batch
from ray_jobs.jobs.context import RunContext, compile_key, open_context, shaded
from ray_jobs.settings.job import Settings
from ray_jobs.storage.fingerprint import check_or_write_identity, read_identity
from ray_jobs.storage.store import Store

UNSET = GeneratorSettings(device="cuda")


@pytest.fixture
def job(ingested: Path, copied: Callable[..., Path], small: Callable[..., Settings]) -> RunContext:
    return open_context(str(copied(ingested)), small("pools.synthesize.gpus=0.5"), quiet=True)


def gpu(size: int) -> Callable[..., dict[str, Any]]:
    """A GPU on which so many fit, which says what it was asked."""

    def measured(generator: GeneratorSettings, pixels: int, share: float) -> dict[str, Any]:
        import os

        seen = {"share": share, "pixels": pixels, "devices": os.environ["CUDA_VISIBLE_DEVICES"]}
        return {"micro_batch": size, "gpu": "G", "room": 24e9, "at_one": 3e9, "at_two": 4e9, **seen}

    return measured


@pytest.mark.simulated("gpu")
@pytest.mark.promise(30)
def test_a_gpu_proposes_once_and_every_later_start_takes_that(job: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposing, "measure_batch_size", gpu(16))
    assert micro_batch(job, UNSET) == 16
    told = json.loads(job.store.read(PROPOSAL))
    assert (told["micro_batch"], told["share"], told["pixels"]) == (16, 0.5, 64)
    assert told["devices"], "it ran where an actor would: with a GPU of its own"
    monkeypatch.setattr(proposing, "measure_batch_size", gpu(32))
    assert micro_batch(job, UNSET) == 16, "another machine, the same run"
    check_or_write_identity(job.store, "synthesized", {"settings": {"generator": {"micro_batch": 4}}})
    assert micro_batch(job, UNSET) == 4, "what the shards were made with comes first"


@pytest.mark.simulated("gpu")
@pytest.mark.promise(30)
def test_of_two_drivers_both_take_the_first_ones(job: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile(*_: Any) -> dict[str, Any]:
        job.store.create(PROPOSAL, json.dumps({"micro_batch": 8}).encode())
        return {"micro_batch": 32}

    monkeypatch.setattr(proposing, "_measured", meanwhile)
    assert micro_batch(job, UNSET) == 8


def test_what_is_set_wins_and_what_is_on_a_cpu_is_not_measured(job: RunContext) -> None:
    assert micro_batch(job, GeneratorSettings(device="cuda", micro_batch=3)) == 3
    assert micro_batch(job, GeneratorSettings(device="cpu")) == 8
    assert not job.store.exists(PROPOSAL)


@pytest.mark.simulated("gpu")
@pytest.mark.parametrize(("error", "kind"), [(ModelError("no such model"), ModelError), (OSError("odd"), StageError)])
def test_an_error_of_the_measuring_is_the_commands(
    job: RunContext, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception]
) -> None:
    def broken(*_: Any) -> dict[str, Any]:
        raise error

    monkeypatch.setattr(proposing, "measure_batch_size", broken)
    with pytest.raises(kind, match=str(error)):
        micro_batch(job, UNSET)
    assert not job.store.exists(PROPOSAL)


def test_a_gpu_that_does_not_come(job: RunContext, small: Callable[..., Settings]) -> None:
    many = replace(job, settings=small("pools.synthesize.gpus=64", "wait_for_gpus_s=1"))
    with pytest.raises(ClusterError, match="64 GPU needed"):
        micro_batch(many, UNSET)


@pytest.mark.usefixtures("in_this_process")
def test_a_run_on_a_cpu_keeps_its_eight(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings]
) -> None:
    """Recorded where it always was; another one that is set is refused as it always was."""
    run = copied(augmented, leaving_out=["synthesized", "augmented"])
    unset = "generator.micro_batch=null"
    augment(str(run), small(unset), accept_mixture=True, quiet=True)
    assert (read_identity(Store(run), "synthesized") or {})["settings"]["generator"]["micro_batch"] == 8
    augment(str(run), small("generator.micro_batch=8"), accept_mixture=True, quiet=True)
    with pytest.raises(IdentityError, match=r"micro_batch: 8 in the run, 16 now"):
        augment(str(run), small("generator.micro_batch=16"), accept_mixture=True, quiet=True)


def test_the_identity_of_a_run_on_a_cpu_knows_nothing_of_gpus(augmented: Path) -> None:
    made = (read_identity(Store(augmented), "synthesized") or {})["settings"]["generator"]
    assert set(made) == {"weights", "dtype", "steps", "guidance", "micro_batch", "redraws"}
    assert set((read_identity(Store(augmented), "embeddings") or {})["settings"]["clip"]) == {
        "weights",
        "dtype",
        "micro_batch",
    }
    assert compile_key("auto", "cpu") == {}
    assert compile_key("auto", "cuda") == {"channels_last": True, "compile": True}
    assert compile_key(False, "cuda:1") == {"channels_last": True, "compile": False}
    assert shaded("auto", "cpu") == shaded("float32", "cuda") == {}
    assert shaded("auto", "cuda") == shaded("bfloat16", "cpu") == {"shades": "float32"}


@pytest.mark.parametrize(
    ("word", "folder"), [("clip.compile=true", "embeddings"), ("generator.compile=true", "synthesized")]
)
def test_compiled_is_another_run(augmented: Path, small: Callable[..., Settings], word: str, folder: str) -> None:
    with pytest.raises(IdentityError, match=rf"^{folder}/ [\s\S]*compile: nothing in the run, true now"):
        augment(str(augmented), small(word), accept_mixture=True, quiet=True)
