"""Encoding errors and failed compilation in the synthesize stage of a job."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from amia import accelerator
from amia.errors import RunError
from ray_jobs.jobs.augment import augment
from ray_jobs.settings.job import Settings
from ray_jobs.stages import synthesize
from ray_jobs.storage.store import Store

LEFT_OUT = ["synthesized", "augmented", "log"]


@pytest.mark.simulated("fault")
@pytest.mark.usefixtures("in_this_process", "cluster")
def test_encoding_error_names_the_post(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, encode, calls = copied(augmented, leaving_out=LEFT_OUT), synthesize.encode_jpeg, list[int]()

    def encode_with_fault(*args: Any, **kwargs: Any) -> bytes:
        calls.append(1)
        if len(calls) == 5:
            raise MemoryError  # must not be handled like an out-of-memory error of the device
        return encode(*args, **kwargs)

    monkeypatch.setattr(synthesize, "encode_jpeg", encode_with_fault)
    rows = pq.read_table(augmented / "synthesized" / "test-00000-of-00002.parquet").to_pylist()
    fifth = [row["id"] for row in rows if row["prompt"]][4]
    with pytest.raises(RunError, match=rf"post {fifth}: its image could not be encoded \(MemoryError"):
        augment(str(run), small(), accept_mixture=True, quiet=True)
    assert not [key for key in Store(run).list("synthesized") if key.endswith(".parquet")]


@pytest.mark.simulated("compiler")
@pytest.mark.usefixtures("in_this_process", "cluster")
def test_failed_compilation_is_logged(
    augmented: Path,
    copied: Callable[..., Path],
    small: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail_to_compile(graph: object, inputs: object) -> Callable[..., Any]:
        raise RuntimeError("no Triton here")

    monkeypatch.setattr(accelerator, "BACKEND", fail_to_compile)
    torch.compiler.reset()
    run = copied(augmented, leaving_out=LEFT_OUT)
    with caplog.at_level(logging.WARNING, "ray_jobs.runtime.executor"):
        augment(str(run), small("generator.compile=true"), accept_mixture=True, quiet=True)
    logged = [record.args for record in caplog.records if record.name == "ray_jobs.runtime.executor"]
    shards = [key for key in Store(run).list("synthesized") if key.endswith(".parquet")]
    assert len(logged) == len(shards) > 0
    for stage, _, field, reasons in logged:  # type: ignore[misc]  # arguments of the log message
        assert (stage, field) == ("synthesized", "uncompiled")
        assert set(reasons) == {"text_encoder", "unet", "decoder"}
        assert all("no Triton here" in reason for reason in reasons.values())
