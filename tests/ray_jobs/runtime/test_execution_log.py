"""The log of an execution, which is written while it runs."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray

from amia.errors import StoreError
from ray_jobs.reporting.timing import read_stage_times
from ray_jobs.runtime import execution_log
from ray_jobs.runtime.execution_log import ExecutionLog
from ray_jobs.runtime.faults import Fault
from ray_jobs.runtime.progress import ProgressTracker
from ray_jobs.storage.store import Store

TIMEOUT_S = 20.0


@pytest.fixture
def tracker(cluster: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(execution_log, "INTERVAL_S", 0.05)
    return ProgressTracker.start({})


def finish(tracker: Any, shard: str, ended: float) -> None:
    seconds = {"load_s": 1.0, "run_s": 1.0, "publish_s": 1.0, "ended": ended}
    place = {"host": "node1", "pid": 1, "cuda_visible_devices": ""}
    line = {"stage": "scores", "shard": shard, "posts": 2, **seconds, **place, "oom_reduced": 3}
    ray.get(tracker.finish_shard.remote("scores", 2, 0, line, "node"))


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_lines_and_faults_are_written_while_it_runs(tracker: Any, tmp_path: Path) -> None:
    store = Store(tmp_path)
    with ExecutionLog(store, tracker, "20260101T000000-node1-42", ["scores", "embeddings"]):
        finish(tracker, "a", ended=10.0)
        wait_until(lambda: "log/20260101T000000-node1-42-embeddings+scores-00000.jsonl" in store.list("log"))
        fault = Fault(stage="scores", shard="b", host="node1", node="n", pid=1, cause="CUDA error", time=1.0)
        ray.get(tracker.record_fault.remote(fault))
        wait_until(lambda: "log/20260101T000000-node1-42-faults.json" in store.list("log"))
        finish(tracker, "b", ended=20.0)
    assert sorted(store.list("log")) == [
        *(f"log/20260101T000000-node1-42-embeddings+scores-{number:05d}.jsonl" for number in (0, 1)),
        "log/20260101T000000-node1-42-faults.json",
    ]
    assert [fault["cause"] for fault in json.loads(store.read("log/20260101T000000-node1-42-faults.json"))] == [
        "CUDA error"
    ]
    [times] = read_stage_times(store)
    assert (times.posts, times.shards, times.wall_s) == (4, 2, 13.0), "one execution, although it has two files"


def test_lines_are_kept_while_the_storage_fails(tracker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, create, failures = Store(tmp_path), Store.create, [1, 1]

    def fail_twice(self: Store, key: str, data: bytes) -> bool:
        if failures:
            failures.pop()
            raise StoreError("the disk is full")
        return create(self, key, data)

    monkeypatch.setattr(Store, "create", fail_twice)
    with ExecutionLog(store, tracker, "x", ["scores"]):
        finish(tracker, "a", ended=10.0)
        wait_until(lambda: store.list("log"))
    assert [line["shard"] for line in map(json.loads, store.read("log/x-scores-00000.jsonl").splitlines())] == ["a"]
