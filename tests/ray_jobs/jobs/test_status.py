"""`amia status`: what a run says of itself, from another process, while somebody works on it and afterwards."""

import functools
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amia.mner.training.trainer import EpochReport
from ray_jobs.jobs import status
from ray_jobs.runtime import executor as runner
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.runtime.executor import StageSpec, run_stages
from ray_jobs.runtime.heartbeat import TIMEOUT_S, Heartbeat, HeartbeatRecord
from ray_jobs.settings.job import Pool
from ray_jobs.storage.fingerprint import check_or_write_identity
from ray_jobs.storage.shards import encode
from ray_jobs.storage.store import Store
from ray_jobs.training.checkpoints import StoreCheckpoints
from ray_jobs.training.tensorboard import publish_curves
from tests.helpers.toy import Draw, plan_of, wish

Amia = Callable[..., tuple[int, str, str]]
SHARDS = 6


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "disk":
        return begun(Store(tmp_path / "run"))
    return begun(Store(f"{request.getfixturevalue('bucket')}/{tmp_path.name}"))


def begun(store: Store) -> Store:
    """A planned run of six shards of two posts, three of them drawn, one post of these failed."""
    plan = plan_of(SHARDS)
    plan.publish(store)
    check_or_write_identity(store, "synthesized", {"stage": "synthesized"})
    for number, shard in enumerate(plan.shards[:3]):
        statuses = ["ok", "failed(black)" if number == 1 else "ok"]
        table = pa.table({"id": [f"{shard}-0", f"{shard}-1"], "synthesis_status": statuses})
        counts = Counter(f"synthesis={each}" for each in statuses)
        data, _ = encode(table, stage="synthesized", identity="toy", counts=counts)
        store.create(f"synthesized/{shard}.parquet", data)
    return store


def until(happened: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (found := happened()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_a_run_that_nobody_works_on(store: Store) -> None:
    told = status.status(store.address)
    assert told["drivers"] == []
    [(name, stage)] = told["stages"].items()
    assert name == "synthesized"
    figures = {key: stage[key] for key in ("shards", "of_shards", "posts", "of_posts", "working", "failed", "left")}
    assert list(figures.values()) == [3, 6, 6, 12, 0, 1, 6]
    assert stage["counts"] == {"synthesis=failed(black)": 1, "synthesis=ok": 5}
    assert (stage["posts_per_s"], stage["eta_s"]) == (None, None), "nobody is at it, so nothing is on its way"
    assert abs(stage["last_published"] - time.time()) < 60


def test_a_driver_s_heartbeat_says_what_is_in_work_and_ends_with_it(store: Store) -> None:
    names = plan_of(SHARDS).shards
    beat = HeartbeatRecord(
        host="node1", pid=42, started=time.time() - 3, working={"synthesized": [names[2], names[3], names[5]]}
    )
    with Heartbeat(store, "20260101T000000-node1-42", lambda: beat, interval_s=0.1):
        until(lambda: store.list("log"))
        told = status.status(store.address)
    [driver] = told["drivers"]
    assert (driver["host"], driver["pid"], driver["alive"]) == ("node1", 42, True)
    stage = told["stages"]["synthesized"]
    assert stage["working"] == 4, "what the driver has not heard of yet, but is published, is no longer in work"
    assert stage["left"] == 6
    assert stage["eta_s"] == pytest.approx(6 / stage["posts_per_s"])
    assert store.list("log") == {}
    assert status.status(store.address)["drivers"] == []


def test_posts_a_second_and_time_left_come_from_the_times_of_shards(tmp_path: Path) -> None:
    store, plan, now = Store(tmp_path), plan_of(400), time.time()
    plan.publish(store)
    check_or_write_identity(store, "embeddings", {"stage": "embeddings"})
    for number, shard in enumerate(plan.shards[:300]):
        store.create(f"embeddings/{shard}.parquet", b"opened by nobody: it tells of no failures")
        at = now - 3 * (299 - number)  # two posts every three seconds, the last one now
        os.utime(tmp_path / "embeddings" / f"{shard}.parquet", (at, at))
    beat = HeartbeatRecord(host="node1", pid=42, started=now - 10_000, working={"embeddings": []})
    with Heartbeat(store, "driver", lambda: beat, interval_s=5):
        until(lambda: store.list("log"))
        stage = status.status(str(tmp_path))["stages"]["embeddings"]
    assert stage["posts_per_s"] == pytest.approx(2 / 3, rel=1e-3)
    assert stage["eta_s"] == pytest.approx(300, rel=1e-3)
    assert stage["failed"] == 0


def test_a_driver_that_fell_silent_is_said_to_and_promises_nothing(tmp_path: Path, amia: Amia) -> None:
    store = begun(Store(tmp_path))
    beat = HeartbeatRecord(host="node1", pid=42, started=0.0, working={"synthesized": plan_of(SHARDS).shards})
    store.replace("log/x-running.json", json.dumps(asdict(beat)).encode())
    store.replace("log/y-running.json", b"[1, 2]")  # whoever wrote this
    long_ago = time.time() - TIMEOUT_S - 600
    os.utime(tmp_path / "log" / "x-running.json", (long_ago, long_ago))
    told = status.status(store.address)
    assert [driver["alive"] for driver in told["drivers"]] == [False]
    assert told["stages"]["synthesized"]["working"] == 0
    assert told["stages"]["synthesized"]["posts_per_s"] is None
    said = amia("status", store.address)[1]
    assert "the job on node1 (process 42) has not been heard of for 11 min" in said
    assert "last shard" in said


def test_while_actors_work_another_process_sees_what_they_have_in_work(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "Heartbeat", functools.partial(Heartbeat, interval_s=0.2))
    (tmp_path / "wishes").mkdir()
    store, plan = Store(tmp_path), plan_of(SHARDS)
    plan.publish(store)
    check_or_write_identity(store, "synthesized", {"stage": "synthesized"})
    wish(store, "wait", Draw, plan.shards[5], "go")  # the last of its lease, whichever lease comes first
    step = StageSpec(Draw(store), Pool(cpus=0.5, lease=6))

    def job() -> None:
        run_stages(store, Cluster(is_local=False, autoscales=False), plan, [step], plan.shards, wait_s=60, quiet=True)

    working = threading.Thread(target=job)
    working.start()
    try:
        look = [sys.executable, "-m", "ray_jobs", "status", str(tmp_path), "--json"]

        def seen() -> Any:
            told = json.loads(subprocess.run(look, capture_output=True, check=True).stdout)
            stage = told["stages"]["synthesized"]
            return told if stage["posts"] in {4, 10} and stage["working"] == 2 else None

        told = until(seen)
    finally:
        store.create("go", b"")
        working.join(timeout=60)
    stage = told["stages"]["synthesized"]
    assert stage["posts"] + stage["left"] == 12
    assert stage["posts_per_s"] > 0
    assert [driver["alive"] for driver in told["drivers"]] == [True]
    after = status.status(str(tmp_path))
    assert (after["drivers"], after["stages"]["synthesized"]["left"]) == ([], 0)


def test_failures_are_those_of_the_rows(augmented: Path, copied: Callable[..., Path]) -> None:
    run = copied(augmented)
    (run / "augmented" / "original" / "manifest.json").unlink()  # one arm is told by its footers
    told = status.status(str(run))
    assert told["finished"] == ["adaptive"]
    for folder in ("posts", "augmented/adaptive", "augmented/original"):
        rows = [row for file in (run / folder).glob("*.parquet") for row in pq.read_table(file).to_pylist()]
        bad = sum(row["image_status"].startswith("bad_image") for row in rows)
        stage = told["stages"][folder]
        assert (stage["failed"], stage["posts"], stage["left"]) == (bad, len(rows), 0)
        assert bad == 4
    assert told["stages"]["embeddings"]["posts"] == told["stages"]["scores"]["posts"] == 96


def test_only_footers_that_tell_of_failures_are_opened_each_by_one_request(
    augmented: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, list[str]] = {"get_range": [], "head": []}
    for name, keys in asked.items():
        real = getattr(obstore, name)

        def counting(objects: Any, key: str, *words: Any, keys: list[str] = keys, real: Any = real, **more: Any) -> Any:
            keys.append(key)
            return real(objects, key, *words, **more)

        monkeypatch.setattr(obstore, name, counting)
    status.status(str(augmented))
    assert Counter(key.partition("/")[0] for key in asked["get_range"]) == {"posts": 10, "synthesized": 10}
    assert not [key for key in asked["head"] if key.endswith(".parquet")]


def test_neither_ray_nor_torch_is_waited_for(augmented: Path) -> None:
    code = (
        "import sys; from ray_jobs import cli; sys.argv = ['amia', {words}]\n"
        "try: cli.main()\n"
        "except SystemExit as left: assert not left.code\n"
        "sys.exit(' '.join(name for name in ('ray', 'torch', 'transformers') if name in sys.modules) or 0)"
    )
    for words in (f"'status', '{augmented}'", f"'gc', '{augmented}'"):
        command = [sys.executable, "-c", code.replace("{words}", words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert str(augmented) in done.stdout


def report(epoch: int) -> EpochReport:
    scores = {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    return EpochReport(epoch=epoch, loss={"tags": 1.0}, **scores, best=True, lr=0.1, posts_per_s=1, waited=0)


def test_trainings_cells_and_tables_are_told_in_short(store: Store, amia: Amia) -> None:
    for name in ("begun", "done", "waiting"):
        check_or_write_identity(store, f"models/{name}", {"settings": {"training": {"epochs": 20}}})
    for name, epochs in (("begun", 3), ("done", 2)):
        for epoch in range(1, epochs + 1):
            publish_curves(store, f"models/{name}/tensorboard", report(epoch))
            StoreCheckpoints(store, f"models/{name}/checkpoints").save(epoch, {"state.json": b"{}"}, epoch)
    store.create("models/done/training.json", json.dumps({"epochs": 2, "best": {"f1": 0.75}}).encode())
    store.create("models/notes.txt", b"somebody's")
    store.create("cells/abc.json", b"{}")
    store.create("experiments/demo/tables.json", b"{}")
    if store.folder is not None:
        for epoch in (1, 2, 3):
            curve = store.folder / f"models/begun/tensorboard/events.out.tfevents.{epoch:010d}"
            os.utime(curve, (now := time.time() - 90 + 30 * epoch, now))
    told = status.status(store.address)
    by_name = {each["name"]: each for each in told["trainings"]}
    assert by_name.keys() == {"begun", "done", "waiting"}
    begun = by_name["begun"]
    assert (begun["finished"], begun["epochs"], begun["of_epochs"]) == (False, 3, 20)
    assert by_name["done"]["f1"] == 0.75
    assert by_name["waiting"]["epochs"] == 0
    if store.folder is not None:
        assert begun["epoch_s"] == pytest.approx(30, abs=0.1)
    assert (told["cells"], told["experiments"]) == (1, ["demo"])
    said = amia("status", store.address)[1]
    assert "models: 1 trained, 1 begun, 1 before their first epoch" in said
    assert "begun: epoch 3 of 20 at most" in said
    assert "experiments: 1 results in cells/; tables: demo" in said


def test_before_there_is_a_plan(tmp_path: Path, amia: Amia) -> None:
    store = Store(tmp_path)
    assert "nothing is published" in amia("status", tmp_path)[1]
    store.create("scratch/abc/bucket-0000/rows-train-00000.arrow", b"x" * 2_000_000)
    assert "an ingest reads its corpus: 2.0 MB so far" in amia("status", tmp_path)[1]
    assert json.loads(amia("status", tmp_path, "--json")[1])["stages"] == {}


def test_predictions_are_counted_by_the_splits_that_were_asked_for(tmp_path: Path) -> None:
    store = Store(tmp_path)
    plan = plan_of(3)
    plan = type(plan)(**{**{name: getattr(plan, name) for name in plan.__slots__}, "posts": {"train": 6, "test": 3}})
    plan.publish(store)
    store.create("predictions/umt/adaptive/identity.json", b"{}")
    store.create("predictions/umt/adaptive/test-00000-of-00002.parquet", b"x")
    stage = status.status(str(tmp_path))["stages"]["predictions/umt/adaptive"]
    assert (stage["shards"], stage["of_shards"], stage["left"]) == (1, 2, 1)
