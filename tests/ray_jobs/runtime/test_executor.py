"""The executor on real Ray, with stages that need no model."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import ray

from amia.errors import ClusterError, ModelError, StageError, StoreError
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.runtime.executor import StageSpec, leases, run_stages, unpublished
from ray_jobs.settings.job import Pool
from ray_jobs.storage.store import Store
from tests.helpers.toy import Blend, Toy, instruct, toy_plan

SHARDS = 7
ATTACHED = Cluster(is_local=False, autoscales=False)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "run" / "instructions").mkdir(parents=True)
    return Store(tmp_path / "run")


def run_toys(store: Store, *stages: Toy, pool: Pool | None = None) -> None:
    """Run all shards through the stages."""
    plan = toy_plan(SHARDS)
    pool = pool or Pool(cpus=0.5, lease=3)
    run_stages(
        store,
        ATTACHED,
        plan,
        [StageSpec(stage, pool) for stage in stages],
        plan.shards,
        wait_s=30,
        quiet=True,
        stall_s=600,
    )


def read_log(store: Store) -> list[dict[str, Any]]:
    files = sorted((store.folder / "log").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def published_shards(store: Store, folder: str) -> list[str]:
    return sorted(key.rpartition("/")[2].removesuffix(".parquet") for key in store.list(folder))


@pytest.mark.parametrize(("count", "max_length", "actors"), [(12, 3, 1), (12, 1, 2), (7, 3, 1), (5, 16, 2), (1, 4, 8)])
def test_leases_hold_all_shards_in_order(count: int, max_length: int, actors: int) -> None:
    names = toy_plan(count).shards
    result = leases(names, max_length, actors)
    assert [shard for lease in result for shard in lease] == names
    assert max(map(len, result)) <= max_length
    assert len(result) >= min(count, 2 * actors), "actors with a single lease cannot compensate for a slow one"


@pytest.mark.parametrize("lease", [1, 3])
def test_shards_stream_through_both_stages_once(cluster: None, store: Store, lease: int) -> None:
    names = toy_plan(SHARDS).shards
    instruct(
        store, "wait", Toy, names[-1], f"blended/{names[0]}.parquet"
    )  # without streaming the first stage would not end
    run_toys(store, Toy(store), Blend(store), pool=Pool(cpus=0.5, lease=lease))
    assert published_shards(store, "drawn") == published_shards(store, "blended") == names
    lines = read_log(store)
    assert Counter((line["stage"], line["shard"]) for line in lines) == Counter(
        {(stage, shard): 1 for stage in ("drawn", "blended") for shard in names}
    )
    assert all(line["posts"] == 2 and line["host"] and line["pid"] != os.getpid() for line in lines)


def test_published_shards_are_skipped_without_actors(cluster: None, store: Store) -> None:
    names = toy_plan(SHARDS).shards
    for shard in names:
        Toy(store).publish(shard, shard)
    Blend(store).publish(names[0], names[0])
    stats = {path: path.stat() for path in store.folder.rglob("*.parquet")}
    run_toys(store, Toy(store), Blend(store))
    assert {(line["stage"], line["shard"]) for line in read_log(store)} == {("blended", shard) for shard in names[1:]}
    assert not list((store.folder / "instructions").glob("up-drawn-*")), "an actor was started for a finished stage"
    files, num_lines = set((store.folder / "instructions").iterdir()), len(read_log(store))
    run_toys(store, Toy(store), Blend(store))
    assert set((store.folder / "instructions").iterdir()) == files
    assert len(read_log(store)) == num_lines
    for path, stat in stats.items():
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == (stat.st_ino, stat.st_mtime_ns)
    assert not unpublished(store, Blend(store), names)


def test_foreseen_error_keeps_its_class_and_names_the_stage(cluster: None, store: Store) -> None:
    instruct(store, "model", Blend)
    with pytest.raises(ModelError, match=r"^blended: no weights in some/folder$"):
        run_toys(store, Toy(store), Blend(store))
    assert_cluster_is_idle()


def test_run_resumes_after_an_error(cluster: None, store: Store) -> None:
    names = toy_plan(SHARDS).shards
    instruct(store, "store", Toy, names[4])
    with pytest.raises(StoreError, match=rf"^drawn {names[4]}: the disk is full$"):
        run_toys(store, Toy(store), Blend(store), pool=Pool(cpus=0.5, lease=1))
    assert set(names[:3]) <= set(published_shards(store, "drawn")) <= set(names) - {names[4]}
    (store.folder / "instructions" / f"store-drawn-{names[4]}").unlink()
    run_toys(store, Toy(store), Blend(store))
    assert published_shards(store, "blended") == names


def read_faults(store: Store) -> list[dict[str, Any]]:
    return [
        fault for file in sorted((store.folder / "log").glob("*-faults.json")) for fault in json.loads(file.read_text())
    ]


def test_error_that_returns_ends_the_run_with_its_cause(cluster: None, store: Store) -> None:
    shard = toy_plan(SHARDS).shards[2]
    instruct(store, "break", Toy, shard)
    with pytest.raises(StageError, match=rf"^drawn {shard}: ValueError: a bug at") as raised:
        run_toys(store, Toy(store), Blend(store))
    assert "3 x ValueError" in str(raised.value)
    assert len(str(raised.value).splitlines()) <= 3
    [file] = (store.folder / "log").glob("*.txt")
    assert file.name in str(raised.value)
    assert file.read_text().count("Traceback") == 3
    assert "toy.py" in file.read_text()
    assert len(list((store.folder / "instructions").glob("up-drawn-*"))) == 3
    assert_cluster_is_idle()


def test_error_at_one_shard_costs_its_process(cluster: None, store: Store) -> None:
    names = toy_plan(SHARDS).shards
    instruct(store, "fault", Toy, names[3], "2")
    run_toys(store, Toy(store), Blend(store))
    assert published_shards(store, "drawn") == published_shards(store, "blended") == names
    assert [(fault["shard"], fault["cause"]) for fault in read_faults(store)] == [
        (names[3], "RuntimeError: CUDA error: an illegal memory access was encountered")
    ] * 2


def test_process_that_hangs_is_ended(cluster: None, store: Store) -> None:
    names = toy_plan(SHARDS).shards
    instruct(store, "hang", Toy, names[3], "1")
    specs = [StageSpec(stage, Pool(cpus=0.5, lease=3)) for stage in (Toy(store), Blend(store))]
    run_stages(store, ATTACHED, toy_plan(SHARDS), specs, names, wait_s=30, quiet=True, stall_s=5.0)
    assert published_shards(store, "drawn") == published_shards(store, "blended") == names
    faults = read_faults(store)
    assert ("drawn", names[3]) in {(fault["stage"], fault["shard"]) for fault in faults}
    assert len({fault["pid"] for fault in faults}) == 1, "one process hung, and had loaded the next shard, too"
    assert all("hung" in fault["cause"] for fault in faults)


@pytest.mark.promise(1)
def test_killed_actor_is_replaced(cluster: None, store: Store) -> None:
    names = toy_plan(SHARDS).shards
    instruct(store, "kill", Toy, names[1], "1")
    instruct(store, "kill", Blend, names[5], "1")
    run_toys(store, Toy(store), Blend(store))
    assert published_shards(store, "drawn") == published_shards(store, "blended") == names
    assert Counter((line["stage"], line["shard"]) for line in read_log(store)).most_common(1)[0][1] == 1
    for stage in ("drawn", "blended"):
        assert len(list((store.folder / "instructions").glob(f"up-{stage}-*"))) == 2


@pytest.mark.promise(14)
def test_terminated_actor_is_replaced(cluster: None, store: Store) -> None:
    names = toy_plan(SHARDS).shards
    instruct(store, "term", Toy, names[1], "1")
    instruct(store, "term", Blend, names[5], "1")
    run_toys(store, Toy(store), Blend(store))
    assert published_shards(store, "drawn") == published_shards(store, "blended") == names
    for stage in ("drawn", "blended"):
        assert len(list((store.folder / "instructions").glob(f"up-{stage}-*"))) == 2


@pytest.mark.promise(13)
@pytest.mark.slow  # five actors must die
def test_shard_that_kills_its_actors_ends_the_run(cluster: None, store: Store) -> None:
    shard = toy_plan(SHARDS).shards[1]
    instruct(store, "kill", Toy, shard, "1000")
    with pytest.raises(ClusterError, match=rf"drawn.*{shard}.*memory"):
        run_toys(store, Toy(store), Blend(store))
    assert_cluster_is_idle()


def test_drivers_and_light_stages_do_not_import_torch() -> None:
    modules = (
        "ray_jobs.cli.main",
        "ray_jobs.jobs.download",
        "ray_jobs.jobs.export",
        "ray_jobs.jobs.ingest",
        "ray_jobs.runtime.executor",
        "ray_jobs.stages.mix",
        "ray_jobs.stages.score",
    )
    code = (
        f"import sys, {', '.join(modules)}\n"
        "sys.exit(' '.join(name for name in ('torch', 'diffusers') if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def assert_cluster_is_idle() -> None:
    """Check that the actors of a failed execution exit and release their CPUs."""
    deadline = time.monotonic() + 30
    while ray.available_resources().get("CPU") != ray.cluster_resources()["CPU"]:
        assert time.monotonic() < deadline, f"available: {ray.available_resources()}"
        time.sleep(0.1)
