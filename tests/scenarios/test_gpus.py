"""GPUs on real Ray with four declared: how they are assigned, and the error if there are too few."""

import json
from pathlib import Path

import pytest

from amia.errors import ClusterError
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.runtime.executor import StageSpec, run_stages
from ray_jobs.settings.job import Pool
from ray_jobs.storage.store import Store
from tests.helpers.toy import Blend, Toy, toy_plan

ATTACHED = Cluster(is_local=False, autoscales=False)
SHARDS = 16


def test_half_gpus_are_shared_and_whole_gpus_are_not(cluster: None, tmp_path: Path) -> None:
    """Two actors with a GPU each and two with half a GPU work at the same time."""
    (tmp_path / "instructions").mkdir(parents=True)
    store, plan = Store(tmp_path), toy_plan(SHARDS)
    specs = [
        StageSpec(stage(store, actors=2), Pool(min=2, max=2, cpus=0.5, gpus=gpus, lease=1))
        for stage, gpus in ((Toy, 1.0), (Blend, 0.5))
    ]
    run_stages(store, ATTACHED, plan, specs, plan.shards, wait_s=60, quiet=True, stall_s=600)
    lines = [json.loads(line) for file in (tmp_path / "log").glob("*.jsonl") for line in file.read_text().splitlines()]
    devices: dict[str, dict[int, str]] = {"drawn": {}, "blended": {}}
    for line in lines:
        devices[line["stage"]][line["pid"]] = line["cuda_visible_devices"]
    whole, half = (list(devices[stage].values()) for stage in ("drawn", "blended"))
    assert len(whole) == len(half) == 2, "an actor has done nothing"
    assert len(set(whole)) == 2, "two actors share a GPU that one of them needs"
    assert len(set(half)) == 1, "halves of two GPUs are taken"
    assert {*whole, *half} < {"0", "1", "2", "3"}
    assert not set(whole) & set(half)


def test_too_large_pools_are_refused_with_advice(cluster: None, tmp_path: Path) -> None:
    pool = Pool(min=3, max=3, gpus=1.5)
    with pytest.raises(ClusterError) as raised:
        run_stages(
            Store(tmp_path),
            ATTACHED,
            toy_plan(4),
            [StageSpec(Toy(Store(tmp_path)), pool)],
            toy_plan(4).shards,
            wait_s=1,
            stall_s=600,
            quiet=True,
        )
    message = str(raised.value)
    assert "4.5 GPU needed, 4 available" in message
    assert "after 1 s" in message
    assert "pools.draw.gpus" in message
    assert "wait_for_gpus_s" in message
    assert not (tmp_path / "log").exists()
