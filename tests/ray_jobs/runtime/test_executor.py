"""The runner on real Ray, with stages that need no model."""

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
from tests.helpers.toy import Blend, Toy, plan_of, wish

SHARDS = 7
ATTACHED = Cluster(is_local=False, autoscales=False)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "run" / "wishes").mkdir(parents=True)
    return Store(tmp_path / "run")


def spread(store: Store, *stages: Toy, pool: Pool | None = None) -> None:
    """All shards through the stages, as a job would."""
    plan = plan_of(SHARDS)
    pool = pool or Pool(cpus=0.5, lease=3)
    run_stages(store, ATTACHED, plan, [StageSpec(stage, pool) for stage in stages], plan.shards, wait_s=30, quiet=True)


def log(store: Store) -> list[dict[str, Any]]:
    files = sorted((store.folder / "log").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def published(store: Store, folder: str) -> list[str]:
    return sorted(key.rpartition("/")[2].removesuffix(".parquet") for key in store.list(folder))


@pytest.mark.parametrize(("count", "longest", "actors"), [(12, 3, 1), (12, 1, 2), (7, 3, 1), (5, 16, 2), (1, 4, 8)])
def test_leases_are_runs_of_all_shards_in_order(count: int, longest: int, actors: int) -> None:
    names = plan_of(count).shards
    cut = leases(names, longest, actors)
    assert [shard for lease in cut for shard in lease] == names
    assert max(map(len, cut)) <= longest
    assert len(cut) >= min(count, 2 * actors), "an actor that gets only one lease cannot make up for a slow one"


@pytest.mark.parametrize("lease", [1, 3])
def test_every_shard_goes_through_both_stages_once_and_streams(cluster: None, store: Store, lease: int) -> None:
    names = plan_of(SHARDS).shards
    wish(store, "wait", Toy, names[-1], f"blended/{names[0]}.parquet")  # else the first stage never ends
    spread(store, Toy(store), Blend(store), pool=Pool(cpus=0.5, lease=lease))
    assert published(store, "drawn") == published(store, "blended") == names
    lines = log(store)
    assert Counter((line["stage"], line["shard"]) for line in lines) == Counter(
        {(stage, shard): 1 for stage in ("drawn", "blended") for shard in names}
    )
    assert all(line["posts"] == 2 and line["host"] and line["pid"] != os.getpid() for line in lines)


def test_what_is_published_is_not_done_again_and_starts_no_actor(cluster: None, store: Store) -> None:
    names = plan_of(SHARDS).shards
    for shard in names:
        Toy(store).publish(shard, shard)
    Blend(store).publish(names[0], names[0])
    before = {path: path.stat() for path in store.folder.rglob("*.parquet")}
    spread(store, Toy(store), Blend(store))
    assert {(line["stage"], line["shard"]) for line in log(store)} == {("blended", shard) for shard in names[1:]}
    assert not list((store.folder / "wishes").glob("up-drawn-*")), "an actor was started for a stage that was done"
    ups, logs = set((store.folder / "wishes").iterdir()), len(log(store))
    spread(store, Toy(store), Blend(store))
    assert set((store.folder / "wishes").iterdir()) == ups
    assert len(log(store)) == logs
    for path, stat in before.items():
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == (stat.st_ino, stat.st_mtime_ns)
    assert not unpublished(store, Blend(store), names)


def test_an_error_to_act_on_comes_out_as_itself_with_its_stage(cluster: None, store: Store) -> None:
    wish(store, "model", Blend)
    with pytest.raises(ModelError, match=r"^blended: no weights in some/folder$"):
        spread(store, Toy(store), Blend(store))
    nothing_holds_the_cluster()


def test_an_error_at_a_shard_leaves_what_is_published_and_the_next_run_goes_on(cluster: None, store: Store) -> None:
    names = plan_of(SHARDS).shards
    wish(store, "store", Toy, names[4])
    with pytest.raises(StoreError, match=rf"^drawn {names[4]}: the disk is full$"):
        spread(store, Toy(store), Blend(store), pool=Pool(cpus=0.5, lease=1))
    assert set(names[:3]) <= set(published(store, "drawn")) <= set(names) - {names[4]}
    (store.folder / "wishes" / f"store-drawn-{names[4]}").unlink()
    spread(store, Toy(store), Blend(store))
    assert published(store, "blended") == names


def test_a_bug_in_a_stage_names_the_shard_and_the_cause(cluster: None, store: Store) -> None:
    shard = plan_of(SHARDS).shards[2]
    wish(store, "break", Toy, shard)
    with pytest.raises(StageError, match=rf"^drawn {shard}: ValueError: a bug at") as raised:
        spread(store, Toy(store), Blend(store))
    assert len(str(raised.value).splitlines()) <= 3
    [kept] = (store.folder / "log").glob("*.txt")
    assert kept.name in str(raised.value)
    assert "toy.py" in kept.read_text()
    assert "Traceback" in kept.read_text()
    nothing_holds_the_cluster()


@pytest.mark.promise(1)
def test_a_killed_actor_is_replaced_and_its_lease_done_again(cluster: None, store: Store) -> None:
    names = plan_of(SHARDS).shards
    wish(store, "kill", Toy, names[1], "1")
    wish(store, "kill", Blend, names[5], "1")
    spread(store, Toy(store), Blend(store))
    assert published(store, "drawn") == published(store, "blended") == names
    assert Counter((line["stage"], line["shard"]) for line in log(store)).most_common(1)[0][1] == 1
    for stage in ("drawn", "blended"):
        assert len(list((store.folder / "wishes").glob(f"up-{stage}-*"))) == 2


@pytest.mark.promise(14)
def test_an_actor_that_is_sent_sigterm_is_replaced_and_its_lease_done_again(cluster: None, store: Store) -> None:
    names = plan_of(SHARDS).shards
    wish(store, "term", Toy, names[1], "1")
    wish(store, "term", Blend, names[5], "1")
    spread(store, Toy(store), Blend(store))
    assert published(store, "drawn") == published(store, "blended") == names
    for stage in ("drawn", "blended"):
        assert len(list((store.folder / "wishes").glob(f"up-{stage}-*"))) == 2


@pytest.mark.promise(13)
@pytest.mark.slow  # five actors must die
def test_a_shard_that_kills_whoever_touches_it_ends_the_run(cluster: None, store: Store) -> None:
    shard = plan_of(SHARDS).shards[1]
    wish(store, "kill", Toy, shard, "1000")
    with pytest.raises(ClusterError, match=rf"drawn.*{shard}.*memory"):
        spread(store, Toy(store), Blend(store))
    nothing_holds_the_cluster()


def test_what_needs_no_model_imports_none() -> None:
    light = "import sys, ray_jobs.cli, ray_jobs.jobs.ingest, ray_jobs.runtime.executor, ray_jobs.stages.mix, ray_jobs.stages.score"
    light += ", ray_jobs.jobs.export"
    code = f"{light}; sys.exit(' '.join(name for name in ('torch', 'diffusers') if name in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def nothing_holds_the_cluster() -> None:
    """Actors of a failed execution go away and leave their CPUs to others."""
    deadline = time.monotonic() + 30
    while ray.available_resources().get("CPU") != ray.cluster_resources()["CPU"]:
        assert time.monotonic() < deadline, f"still held: {ray.available_resources()}"
        time.sleep(0.1)
