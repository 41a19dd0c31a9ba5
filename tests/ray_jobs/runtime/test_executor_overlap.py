"""Inside one actor: while shard K runs, K+1 is loaded and K-1 is published. Held by events, not by times."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import ray

from amia.errors import StoreError
from ray_jobs.runtime.executor import StageActor
from ray_jobs.runtime.progress import ProgressTracker
from ray_jobs.stages.base import Stage
from ray_jobs.storage.shards import ShardMetadata, encode
from ray_jobs.storage.store import Store

PATIENCE_S = 20.0


class Meeting(Stage[int, int]):
    """Loading K+1 and publishing K-1 each wait until K runs, and K runs until it has met both."""

    name = "met"
    pool = "meet"
    version = 1

    def __init__(self, store: Store, shards: int) -> None:
        super().__init__(store, "toy")
        self._last = shards - 1
        self.running = [threading.Event() for _ in range(shards)]
        self.loading = [threading.Event() for _ in range(shards)]
        self.publishing = [threading.Event() for _ in range(shards)]
        self.seen: list[str] = []

    def load(self, shard: str) -> int:
        number = int(shard)
        self.loading[number].set()
        self.seen.append(f"load {number}")
        if number > 0:
            assert self.running[number - 1].wait(PATIENCE_S), f"{number} was loaded before {number - 1} ran"
        return number

    def run(self, loaded: int) -> int:
        self.running[loaded].set()
        if loaded < self._last:
            assert self.loading[loaded + 1].wait(PATIENCE_S), f"{loaded + 1} was not loaded while {loaded} ran"
        if loaded + 2 <= self._last:
            assert not self.loading[loaded + 2].is_set(), "two shards ahead: memory would grow with the lease"
        if loaded > 0:
            assert self.publishing[loaded - 1].wait(PATIENCE_S), f"{loaded - 1} was not published while {loaded} ran"
        self.seen.append(f"run {loaded}")
        return loaded

    def publish(self, shard: str, done: int) -> ShardMetadata:
        if done < self._last:
            assert self.running[done + 1].wait(PATIENCE_S), f"{done} was published before {done + 1} ran"
        self.publishing[done].set()
        data, facts = encode(pa.table({"id": [shard]}), stage=self.name, identity="toy")
        self.store.create(self.keys(shard)[0], data)
        self.seen.append(f"publish {done}")
        return facts


def lease_of(*shards: str) -> Any:
    return {"lease": np.array([json.dumps(shards)]), "failure": np.array([""])}


def test_loads_ahead_and_publishes_behind(cluster: None, tmp_path: Path) -> None:
    stage = Meeting(Store(tmp_path), 4)
    told = StageActor(stage, ProgressTracker.start())(lease_of("0", "1", "2", "3"))
    assert told["failure"][0] == ""
    assert len(stage.store.list("met")) == 4


@pytest.mark.promise(2)
def test_a_shard_that_is_published_meanwhile_is_neither_loaded_nor_run(cluster: None, tmp_path: Path) -> None:
    stage = Meeting(Store(tmp_path), 1)
    stage.publish("0", 0)
    assert StageActor(stage, ProgressTracker.start())(lease_of("0"))["failure"][0] == ""
    assert stage.seen == ["publish 0"]


class Late(Meeting):
    """While it fetches its input another driver publishes the shard and tidies the input away."""

    def load(self, shard: str) -> int:
        self.publish(shard, int(shard))
        raise StoreError("scratch/rows.arrow could not be read")


@pytest.mark.promise(2)
def test_a_driver_that_comes_second_does_without_input_that_the_first_has_tidied_away(
    cluster: None, tmp_path: Path
) -> None:
    stage = Late(Store(tmp_path), 1)
    assert StageActor(stage, ProgressTracker.start())(lease_of("0"))["failure"][0] == ""
    assert stage.seen == ["publish 0"]


def test_input_that_is_really_missing_is_an_error(cluster: None, tmp_path: Path) -> None:
    class Missing(Meeting):
        def load(self, shard: str) -> int:
            raise StoreError("posts/0.parquet could not be read")

    told = json.loads(StageActor(Missing(Store(tmp_path), 1), ProgressTracker.start())(lease_of("0"))["failure"][0])
    said = "posts/0.parquet could not be read"
    assert told == {"kind": "StoreError", "stage": "met", "shard": "0", "said": said}


def test_a_lost_board_is_an_error_of_the_cluster_and_no_bug(cluster: None, tmp_path: Path) -> None:
    board = ProgressTracker.start()
    ray.get(board.counts.remote())
    ray.kill(board)
    told = json.loads(StageActor(Meeting(Store(tmp_path), 1), board)(lease_of("0"))["failure"][0])
    assert told["kind"] == "ClusterError"
    assert "start the same command again" in told["said"]
