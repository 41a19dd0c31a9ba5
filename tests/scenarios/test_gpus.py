"""GPUs on real Ray with four declared: how they are assigned, and the error if there are too few."""

import json
from collections import Counter
from pathlib import Path

import pytest

from amia.errors import ClusterError
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.runtime.executor import StageSpec, run_stages
from ray_jobs.settings.job import Pool
from ray_jobs.storage.store import Store
from tests.helpers.toy import Toy, toy_plan

ATTACHED = Cluster(is_local=False, autoscales=False)
SHARDS = 16


def devices(folder: Path, actors: int, gpus: float) -> dict[int, str]:
    """Return CUDA_VISIBLE_DEVICES by process after that many actors of a stage have worked at the same time."""
    (folder / "instructions").mkdir(parents=True)
    store, plan = Store(folder), toy_plan(SHARDS)
    pool = Pool(min=actors, max=actors, cpus=0.5, gpus=gpus, lease=1)
    spec = StageSpec(Toy(store, actors=actors), pool)
    run_stages(store, ATTACHED, plan, [spec], plan.shards, wait_s=60, quiet=True)
    lines = [json.loads(line) for file in (folder / "log").glob("*.jsonl") for line in file.read_text().splitlines()]
    assert len(lines) == SHARDS
    return {line["pid"]: line["cuda_visible_devices"] for line in lines}


def test_actors_with_one_gpu_do_not_share(cluster: None, tmp_path: Path) -> None:
    assert sorted(devices(tmp_path, actors=4, gpus=1.0).values()) == ["0", "1", "2", "3"]


def test_two_actors_share_a_gpu(cluster: None, tmp_path: Path) -> None:
    visible = devices(tmp_path, actors=4, gpus=0.5)
    assert len(visible) == 4
    assert Counter(visible.values()) == {"0": 2, "1": 2}


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
            quiet=True,
        )
    message = str(raised.value)
    assert "4.5 GPU needed, 4 available" in message
    assert "after 1 s" in message
    assert "pools.draw.gpus" in message
    assert "wait_for_gpus_s" in message
    assert not (tmp_path / "log").exists()
