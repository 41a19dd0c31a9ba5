"""The log of an execution: what ran in smaller micro-batches or uncompiled."""

import io
import json
from pathlib import Path

import pytest

from ray_jobs.runtime.cluster import Cluster
from ray_jobs.runtime.console import console
from ray_jobs.runtime.executor import StageSpec, run_stages
from ray_jobs.settings.job import Pool
from ray_jobs.storage.store import Store
from tests.helpers.toy import Degraded, Toy, toy_plan


@pytest.mark.usefixtures("cluster")
def test_degraded_stages_are_logged_and_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "instructions").mkdir()
    store, plan, output = Store(tmp_path), toy_plan(3), io.StringIO()
    monkeypatch.setattr(console, "_file", output)
    specs = [StageSpec(stage, Pool(cpus=0.5)) for stage in (Toy(store), Degraded(store))]
    run_stages(
        store, Cluster(is_local=False, autoscales=False), plan, specs, plan.shards, wait_s=60, quiet=False, stall_s=600
    )
    lines = [json.loads(line) for file in (tmp_path / "log").glob("*.jsonl") for line in file.read_text().splitlines()]
    for line in lines:
        fields = {name: line[name] for name in ("oom_reduced", "uncompiled") if name in line}
        degraded = {"oom_reduced": 2, "uncompiled": {"unet": "no Triton here"}}
        assert fields == (degraded if line["stage"] == "degraded" else {})
    assert len(lines) == 6
    printed = output.getvalue()
    assert "degraded: memory ran out at 6 inputs" in printed
    assert "degraded: unet could not be compiled" in printed
    assert "no Triton here" in printed
