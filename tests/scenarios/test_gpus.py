"""GPUs on real Ray with four of them declared: who gets which, and what happens where there are too few."""

import json
from collections import Counter
from pathlib import Path

import pytest

from amia.errors import ClusterError
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.runtime.executor import StageSpec, run_stages
from ray_jobs.settings.job import Pool
from ray_jobs.storage.store import Store
from tests.helpers.toy import Toy, plan_of

ATTACHED = Cluster(is_local=False, autoscales=False)
SHARDS = 16


def devices(folder: Path, actors: int, gpus: float) -> dict[int, str]:
    """CUDA_VISIBLE_DEVICES by process, once that many actors of a stage have been at work at the same time."""
    (folder / "wishes").mkdir(parents=True)
    store, plan = Store(folder), plan_of(SHARDS)
    pool = Pool(min=actors, max=actors, cpus=0.5, gpus=gpus, lease=1)
    step = StageSpec(Toy(store, actors=actors), pool)
    run_stages(store, ATTACHED, plan, [step], plan.shards, wait_s=60, quiet=True)
    lines = [json.loads(line) for file in (folder / "log").glob("*.jsonl") for line in file.read_text().splitlines()]
    assert len(lines) == SHARDS
    return {line["pid"]: line["cuda_visible_devices"] for line in lines}


def test_at_one_gpu_an_actor_each_has_its_own(cluster: None, tmp_path: Path) -> None:
    assert sorted(devices(tmp_path, actors=4, gpus=1.0).values()) == ["0", "1", "2", "3"]


def test_at_half_a_gpu_two_share_one_and_no_more(cluster: None, tmp_path: Path) -> None:
    seen = devices(tmp_path, actors=4, gpus=0.5)
    assert len(seen) == 4
    assert Counter(seen.values()) == {"0": 2, "1": 2}


def test_pools_that_do_not_fit_end_in_an_error_that_says_what_to_change(cluster: None, tmp_path: Path) -> None:
    pool = Pool(min=3, max=3, gpus=1.5)
    with pytest.raises(ClusterError) as raised:
        run_stages(
            Store(tmp_path),
            ATTACHED,
            plan_of(4),
            [StageSpec(Toy(Store(tmp_path)), pool)],
            plan_of(4).shards,
            wait_s=1,
            quiet=True,
        )
    said = str(raised.value)
    assert "4.5 GPU needed, 4 there" in said
    assert "after 1 s" in said
    assert "pools.draw.gpus" in said
    assert "wait_for_gpus_s" in said
    assert not (tmp_path / "log").exists()
