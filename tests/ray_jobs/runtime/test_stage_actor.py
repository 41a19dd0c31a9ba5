"""Pipeline of one actor: while shard K runs, K+1 is loaded and K-1 is published. Checked with events, not times."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import ray

from amia.errors import StoreError
from ray_jobs.runtime.progress import ProgressTracker
from ray_jobs.runtime.stage_actor import StageActor
from ray_jobs.stages.base import Stage
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.shards import ShardMetadata, encode
from ray_jobs.storage.store import Store

TIMEOUT_S = 20.0


class Overlapping(Stage[int, int]):
    """Loading K+1 and publishing K-1 both wait until K runs, and K runs until both have started."""

    name = "met"
    pool = "meet"
    version = 1

    def __init__(self, store: Store, shards: int) -> None:
        super().__init__(store)
        self._last = shards - 1
        self.running = [threading.Event() for _ in range(shards)]
        self.loading = [threading.Event() for _ in range(shards)]
        self.publishing = [threading.Event() for _ in range(shards)]
        self.calls: list[str] = []

    def identity(self, folder: str) -> Identity:
        return {"stage": self.name, "version": self.version, "settings": {}, "input": {}}

    def load(self, shard: str) -> int:
        index = int(shard)
        self.loading[index].set()
        self.calls.append(f"load {index}")
        if index > 0:
            assert self.running[index - 1].wait(TIMEOUT_S), f"{index} was loaded before {index - 1} ran"
        return index

    def run(self, loaded: int) -> int:
        self.running[loaded].set()
        if loaded < self._last:
            assert self.loading[loaded + 1].wait(TIMEOUT_S), f"{loaded + 1} was not loaded while {loaded} ran"
        if loaded + 2 <= self._last:
            assert not self.loading[loaded + 2].is_set(), "two shards ahead: memory would grow with the lease"
        if loaded > 0:
            assert self.publishing[loaded - 1].wait(TIMEOUT_S), f"{loaded - 1} was not published while {loaded} ran"
        self.calls.append(f"run {loaded}")
        return loaded

    def publish(self, shard: str, done: int) -> ShardMetadata:
        if done < self._last:
            assert self.running[done + 1].wait(TIMEOUT_S), f"{done} was published before {done + 1} ran"
        self.publishing[done].set()
        data, metadata = encode(pa.table({"id": [shard]}), stage=self.name, identity="toy")
        self.store.create(self.keys(shard)[0], data)
        self.calls.append(f"publish {done}")
        return metadata


class Overtaken(Overlapping):
    """While it loads a shard, another driver publishes the shard and removes its input."""

    def load(self, shard: str) -> int:
        self.publish(shard, int(shard))
        raise StoreError("scratch/rows.arrow could not be read")


class WithoutInput(Overlapping):
    """The input of its shards is missing."""

    def load(self, shard: str) -> int:
        raise StoreError("posts/0.parquet could not be read")


def run_lease(stage: Stage[Any, Any], tracker: Any, *shards: str) -> Any:
    """Run a lease in an actor inside this process. Returns its failure, None if there is none."""
    batch = {"lease": np.array([json.dumps(shards)]), "failure": np.array([""]), "footers": np.array([""])}
    failure = str(StageActor(stage, tracker, 60.0)(batch)["failure"][0])
    return json.loads(failure) if failure else None


def test_loads_ahead_and_publishes_behind(cluster: None, tmp_path: Path) -> None:
    stage = Overlapping(Store(tmp_path), 4)
    assert run_lease(stage, ProgressTracker.start({}), "0", "1", "2", "3") is None
    assert len(stage.store.list("met")) == 4


@pytest.mark.promise(2)
def test_published_shard_is_skipped(cluster: None, tmp_path: Path) -> None:
    stage = Overlapping(Store(tmp_path), 1)
    stage.publish("0", 0)
    assert run_lease(stage, ProgressTracker.start({}), "0") is None
    assert stage.calls == ["publish 0"]


@pytest.mark.promise(2)
def test_second_driver_ignores_missing_input(cluster: None, tmp_path: Path) -> None:
    stage = Overtaken(Store(tmp_path), 1)
    assert run_lease(stage, ProgressTracker.start({}), "0") is None
    assert stage.calls == ["publish 0"]


def test_missing_input_is_an_error(cluster: None, tmp_path: Path) -> None:
    assert run_lease(WithoutInput(Store(tmp_path), 1), ProgressTracker.start({}), "0") == {
        "kind": "StoreError",
        "message": "posts/0.parquet could not be read",
        "stage": "met",
        "shard": "0",
    }


def test_lost_tracker_is_a_cluster_error(cluster: None, tmp_path: Path) -> None:
    tracker = ProgressTracker.start({})
    ray.get(tracker.counts.remote())
    ray.kill(tracker)
    failure = run_lease(Overlapping(Store(tmp_path), 1), tracker, "0")
    assert failure["kind"] == "ClusterError"
    assert "start the same command again" in failure["message"]
