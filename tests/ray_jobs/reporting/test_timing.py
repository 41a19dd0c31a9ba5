"""Tests of stage times from the log of a run."""

import json
from pathlib import Path

from ray_jobs.reporting.timing import read_stage_times
from ray_jobs.storage.store import Store
from tests.helpers.written_runs import WrittenRun


def test_sums_over_the_log(written: WrittenRun) -> None:
    (scores,) = read_stage_times(written.store)
    shards = written.plan.shards
    assert (scores.stage, scores.posts, scores.shards) == ("scores", 600, len(shards))
    assert (scores.load_s, scores.run_s, scores.publish_s) == tuple(
        seconds * len(shards) for seconds in (0.25, 0.5, 0.25)
    )
    assert scores.wall_s == len(shards)  # each shard ends one second after the previous one
    assert (scores.actors, scores.hosts, scores.gpus) == (6, 2, 0)
    assert scores.total_rate == 600 / len(shards)
    assert scores.actor_rate == 600 / (0.5 * len(shards))


def test_counts_gpus_and_allows_zero_times(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    line = {"stage": "other", "shard": "a", "posts": 4, "ended": 9.0, "load_s": 0.0, "run_s": 0.0, "publish_s": 0.0}
    for number, gpus in enumerate(("0,1", "1")):
        entry = {**line, "host": "h", "pid": number, "cuda_visible_devices": gpus}
        store.create(f"log/{number}.jsonl", json.dumps(entry).encode())
    store.create("log/0-other-error.txt", b"Traceback")
    (other,) = read_stage_times(store)
    assert (other.posts, other.shards, other.gpus, other.total_rate, other.actor_rate) == (8, 1, 2, None, None)
