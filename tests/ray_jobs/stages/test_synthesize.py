"""What goes on behind the generator in a job: encoding, and what could not be compiled."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from amia import accelerator as compiling
from amia.errors import RunError
from ray_jobs.jobs.augment import augment
from ray_jobs.settings.job import Settings
from ray_jobs.stages import synthesize
from ray_jobs.storage.shards import read_metadata
from ray_jobs.storage.store import Store

LEFT = ["synthesized", "augmented", "log"]


@pytest.mark.simulated("fault")
@pytest.mark.usefixtures("in_this_process", "cluster")
def test_a_picture_that_cannot_be_encoded_stops_the_job_at_its_post(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, encode, calls = copied(augmented, leaving_out=LEFT), synthesize.encode_jpeg, list[int]()

    def faulty(*given: Any, **named: Any) -> bytes:
        calls.append(1)
        if len(calls) == 5:
            raise MemoryError  # which must not be taken for the device's
        return encode(*given, **named)

    monkeypatch.setattr(synthesize, "encode_jpeg", faulty)
    first = pq.read_table(augmented / "synthesized" / "test-00000-of-00002.parquet").to_pylist()
    fifth = [row["id"] for row in first if row["prompt"]][4]
    with pytest.raises(RunError, match=rf"post {fifth}: its image could not be encoded \(MemoryError"):
        augment(str(run), small(), accept_mixture=True, quiet=True)
    assert not [key for key in Store(run).list("synthesized") if key.endswith(".parquet")]


@pytest.mark.simulated("compiler")
@pytest.mark.usefixtures("in_this_process", "cluster")
def test_what_could_not_be_compiled_is_recorded(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(graph: object, inputs: object) -> Callable[..., Any]:
        raise RuntimeError("no Triton here")

    monkeypatch.setattr(compiling, "BACKEND", none)
    torch.compiler.reset()
    run = copied(augmented, leaving_out=LEFT)
    done = augment(str(run), small("generator.compile=true"), accept_mixture=True, quiet=True)
    manifest = json.loads((run / done.manifests["adaptive"]).read_bytes())
    assert set(manifest["eager"]) == {"synthesized"}
    assert set(manifest["eager"]["synthesized"]) == {"text_encoder", "unet", "decoder"}
    assert all("no Triton here" in reason for reason in manifest["eager"]["synthesized"].values())
    store = Store(run)
    shards = [key for key in store.list("synthesized") if key.endswith(".parquet")]
    assert [read_metadata(store, key).extra["eager"] for key in shards] == [manifest["eager"]["synthesized"]] * len(
        shards
    )
    assert "eager" not in json.loads((augmented / done.manifests["adaptive"]).read_bytes())
