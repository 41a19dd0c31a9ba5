"""The micro-batch of a run: as set, as in the identity, or as the memory of a GPU allows.

GPUs are declared and their memory is simulated; Ray is real.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amia.errors import ClusterError, IdentityError, ModelError, StageError
from amia.synthesis.settings import GeneratorSettings
from ray_jobs.jobs import autobatch
from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.autobatch import PROPOSAL, micro_batch
from ray_jobs.jobs.context import RunContext, open_context
from ray_jobs.settings.job import Settings
from ray_jobs.stages.base import accelerator_identity
from ray_jobs.stages.synthesize import Synthesize
from ray_jobs.storage.fingerprint import check_or_write_identity, read_identity
from ray_jobs.storage.store import Store

UNSET = GeneratorSettings(device="cuda")


@pytest.fixture
def job(ingested: Path, copied: Callable[..., Path], small: Callable[..., Settings]) -> RunContext:
    return open_context(str(copied(ingested)), small("pools.synthesize.gpus=0.5"), quiet=True)


def simulate_gpu(batch_size: int) -> Callable[..., dict[str, Any]]:
    """Return a measurement that proposes `batch_size` and records its arguments."""

    def measure(generator: GeneratorSettings, size: int, share: float) -> dict[str, Any]:
        import os

        arguments = {"share": share, "pixels": size, "devices": os.environ["CUDA_VISIBLE_DEVICES"]}
        return {"micro_batch": batch_size, "gpu": "G", "room": 24e9, "at_one": 3e9, "at_two": 4e9, **arguments}

    return measure


@pytest.mark.simulated("gpu")
@pytest.mark.promise(30)
def test_first_measurement_is_kept(job: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autobatch, "measure_batch_size", simulate_gpu(16))
    assert micro_batch(job, UNSET) == 16
    proposal = json.loads(job.store.read(PROPOSAL))
    assert (proposal["micro_batch"], proposal["share"], proposal["pixels"]) == (16, 0.5, 64)
    assert proposal["devices"], "it ran with a GPU, like an actor"
    monkeypatch.setattr(autobatch, "measure_batch_size", simulate_gpu(32))
    assert micro_batch(job, UNSET) == 16, "another machine, the same run"
    check_or_write_identity(job.store, "synthesized", {"settings": {"generator": {"micro_batch": 4}}})
    assert micro_batch(job, UNSET) == 4, "the identity of the existing shards has priority"


@pytest.mark.simulated("gpu")
@pytest.mark.promise(30)
def test_concurrent_drivers_use_the_first_measurement(job: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure_while_another_driver_publishes(*_: Any) -> dict[str, Any]:
        job.store.create(PROPOSAL, json.dumps({"micro_batch": 8}).encode())
        return {"micro_batch": 32}

    monkeypatch.setattr(autobatch, "_measure_on_cluster", measure_while_another_driver_publishes)
    assert micro_batch(job, UNSET) == 8


def test_no_measurement_if_set_or_on_a_cpu(job: RunContext) -> None:
    assert micro_batch(job, GeneratorSettings(device="cuda", micro_batch=3)) == 3
    assert micro_batch(job, GeneratorSettings(device="cpu")) == 8
    assert not job.store.exists(PROPOSAL)


@pytest.mark.simulated("gpu")
@pytest.mark.parametrize(("error", "kind"), [(ModelError("no such model"), ModelError), (OSError("odd"), StageError)])
def test_failed_measurement(
    job: RunContext, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception]
) -> None:
    def fail(*_: Any) -> dict[str, Any]:
        raise error

    monkeypatch.setattr(autobatch, "measure_batch_size", fail)
    with pytest.raises(kind, match=str(error)):
        micro_batch(job, UNSET)
    assert not job.store.exists(PROPOSAL)


def test_no_gpu_available(job: RunContext, small: Callable[..., Settings]) -> None:
    demanding = replace(job, settings=small("pools.synthesize.gpus=64", "wait_for_gpus_s=1"))
    with pytest.raises(ClusterError, match="64 GPU needed"):
        micro_batch(demanding, UNSET)


@pytest.mark.usefixtures("in_this_process")
def test_cpu_run_uses_eight(augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings]) -> None:
    run = copied(augmented, leaving_out=["synthesized", "augmented"])
    augment(str(run), small("generator.micro_batch=null"), accept_mixture=True, quiet=True)
    assert (read_identity(Store(run), "synthesized") or {})["settings"]["generator"]["micro_batch"] == 8
    augment(str(run), small("generator.micro_batch=8"), accept_mixture=True, quiet=True)
    with pytest.raises(IdentityError, match=r"micro_batch: 8 in the run, 16 now"):
        augment(str(run), small("generator.micro_batch=16"), accept_mixture=True, quiet=True)


def test_cpu_identity_has_no_gpu_settings(augmented: Path) -> None:
    generator = (read_identity(Store(augmented), "synthesized") or {})["settings"]["generator"]
    assert set(generator) == {"weights", "dtype", "steps", "guidance", "micro_batch", "redraws"}
    clip = (read_identity(Store(augmented), "embeddings") or {})["settings"]["clip"]
    assert set(clip) == {"weights", "dtype", "micro_batch"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("auto", "cpu", "auto"), {"dtype": "float32"}),
        (("bfloat16", "cpu", True), {"dtype": "bfloat16", "compile": True}),
        (("auto", "cuda", "auto"), {"dtype": "half", "channels_last": True, "compile": True}),
        (("float32", "cuda:1", False), {"dtype": "float32", "channels_last": True, "compile": False}),
        (("auto", "cuda"), {"dtype": "half"}),
    ],
)
def test_accelerator_identity(arguments: tuple[Any, ...], expected: dict[str, Any]) -> None:
    assert accelerator_identity(*arguments) == expected


@pytest.mark.parametrize(
    ("dtype", "device", "is_half"),
    [("auto", "cpu", False), ("float32", "cuda", False), ("auto", "cuda", True), ("bfloat16", "cpu", True)],
)
def test_half_precision_identity_has_shades(job: RunContext, dtype: Any, device: str, is_half: bool) -> None:
    generator = GeneratorSettings(dtype=dtype, device=device, micro_batch=1)
    stage = Synthesize(
        job.store, generator=generator, images=job.images, seed=0, threads=1, weights="weights", posts="posts"
    )
    identity = stage.identity("synthesized")["settings"]["generator"]
    assert identity.get("shades") == ("float32" if is_half else None)


@pytest.mark.parametrize(
    ("override", "folder"), [("clip.compile=true", "embeddings"), ("generator.compile=true", "synthesized")]
)
def test_compilation_changes_the_identity(
    augmented: Path, small: Callable[..., Settings], override: str, folder: str
) -> None:
    with pytest.raises(IdentityError, match=rf"^{folder}/ [\s\S]*compile: nothing in the run, true now"):
        augment(str(augmented), small(override), accept_mixture=True, quiet=True)
