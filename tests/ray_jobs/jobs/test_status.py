"""`amia status` shows the state of a run from another process, during a job and afterwards."""

import functools
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amia.mner.training.trainer import EpochReport
from ray_jobs.cli import status as status_command
from ray_jobs.jobs import status
from ray_jobs.runtime import executor
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.runtime.executor import StageSpec, run_stages
from ray_jobs.runtime.heartbeat import TIMEOUT_S, Heartbeat, HeartbeatRecord
from ray_jobs.settings.job import Pool
from ray_jobs.storage import facts
from ray_jobs.storage.fingerprint import check_or_write_identity
from ray_jobs.storage.shards import ShardMetadata, encode
from ray_jobs.storage.store import Store
from ray_jobs.training.checkpoints import StoreCheckpoints
from ray_jobs.training.tensorboard import publish_curves
from tests.helpers.toy import Draw, instruct, toy_plan

Amia = Callable[..., tuple[int, str, str]]
SHARDS = 6


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "disk":
        return write_partial_run(Store(tmp_path / "run"))
    return write_partial_run(Store(f"{request.getfixturevalue('bucket')}/{tmp_path.name}"))


def write_partial_run(store: Store) -> Store:
    """Write a planned run of six shards of two posts: three shards are synthesized, with one failed post."""
    plan = toy_plan(SHARDS)
    plan.publish(store)
    check_or_write_identity(store, "synthesized", {"stage": "synthesized"})
    for number, shard in enumerate(plan.shards[:3]):
        statuses = ["ok", "failed(black)" if number == 1 else "ok"]
        table = pa.table({"id": [f"{shard}-0", f"{shard}-1"], "synthesis_status": statuses})
        counts = Counter(f"synthesis={status}" for status in statuses)
        data, _ = encode(table, stage="synthesized", identity="toy", counts=counts)
        store.create(f"synthesized/{shard}.parquet", data)
    return store


def wait_until(condition: Callable[[], Any]) -> Any:
    """Return the first true result of `condition`."""
    deadline = time.monotonic() + 60
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return result


def test_idle_run(store: Store) -> None:
    report = status.status(store.address)
    assert report["drivers"] == []
    [(name, stage)] = report["stages"].items()
    assert name == "synthesized"
    values = {key: stage[key] for key in ("shards", "of_shards", "posts", "of_posts", "working", "failed", "left")}
    assert list(values.values()) == [3, 6, 6, 12, 0, 1, 6]
    assert stage["counts"] == {"synthesis=failed(black)": 1, "synthesis=ok": 5}
    assert (stage["posts_per_s"], stage["eta_s"]) == (None, None), "no driver is running"
    assert abs(stage["last_published"] - time.time()) < 60


def test_heartbeat_shows_posts_in_work(store: Store) -> None:
    names = toy_plan(SHARDS).shards
    record = HeartbeatRecord(
        host="node1", pid=42, started=time.time() - 3, working={"synthesized": [names[2], names[3], names[5]]}
    )
    with Heartbeat(store, "20260101T000000-node1-42", lambda: record, interval_s=0.1):
        wait_until(lambda: store.list("log"))
        report = status.status(store.address)
    [driver] = report["drivers"]
    assert (driver["host"], driver["pid"], driver["alive"]) == ("node1", 42, True)
    stage = report["stages"]["synthesized"]
    assert stage["working"] == 4, "a published shard is not in work, even if its driver has not recorded it yet"
    assert stage["left"] == 6
    assert stage["eta_s"] == pytest.approx(6 / stage["posts_per_s"])
    assert store.list("log") == {}
    assert status.status(store.address)["drivers"] == []


def test_rate_and_time_left_from_shard_times(tmp_path: Path) -> None:
    store, plan, now = Store(tmp_path), toy_plan(400), time.time()
    plan.publish(store)
    check_or_write_identity(store, "embeddings", {"stage": "embeddings"})
    for number, shard in enumerate(plan.shards[:300]):
        store.create(f"embeddings/{shard}.parquet", b"never read: this folder has no statuses")
        at = now - 3 * (299 - number)  # two posts every three seconds, the last one now
        os.utime(tmp_path / "embeddings" / f"{shard}.parquet", (at, at))
    record = HeartbeatRecord(host="node1", pid=42, started=now - 10_000, working={"embeddings": []})
    with Heartbeat(store, "driver", lambda: record, interval_s=5):
        wait_until(lambda: store.list("log"))
        stage = status.status(str(tmp_path))["stages"]["embeddings"]
    assert stage["posts_per_s"] == pytest.approx(2 / 3, rel=1e-3)
    assert stage["eta_s"] == pytest.approx(300, rel=1e-3)
    assert stage["failed"] == 0


def test_driver_without_heartbeat(tmp_path: Path, amia: Amia) -> None:
    store = write_partial_run(Store(tmp_path))
    record = HeartbeatRecord(host="node1", pid=42, started=0.0, working={"synthesized": toy_plan(SHARDS).shards})
    store.replace("log/x-running.json", json.dumps(asdict(record)).encode())
    store.replace("log/y-running.json", b"[1, 2]")  # not written by amia
    long_ago = time.time() - TIMEOUT_S - 600
    os.utime(tmp_path / "log" / "x-running.json", (long_ago, long_ago))
    report = status.status(store.address)
    assert [driver["alive"] for driver in report["drivers"]] == [False]
    assert report["stages"]["synthesized"]["working"] == 0
    assert report["stages"]["synthesized"]["posts_per_s"] is None
    stdout = amia("status", store.address)[1]
    assert "no heartbeat from the job on node1 (process 42) for 11 min" in stdout
    assert "last shard" in stdout


def test_posts_in_work_seen_from_another_process(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "Heartbeat", functools.partial(Heartbeat, interval_s=0.2))
    (tmp_path / "instructions").mkdir()
    store, plan = Store(tmp_path), toy_plan(SHARDS)
    plan.publish(store)
    check_or_write_identity(store, "synthesized", {"stage": "synthesized"})
    instruct(store, "wait", Draw, plan.shards[5], "go")  # the last of its lease, whichever lease comes first
    spec = StageSpec(Draw(store), Pool(cpus=0.5, lease=6))

    def job() -> None:
        run_stages(
            store,
            Cluster(is_local=False, autoscales=False),
            plan,
            [spec],
            plan.shards,
            wait_s=60,
            quiet=True,
            stall_s=600,
        )

    working = threading.Thread(target=job)
    working.start()
    try:
        command = [sys.executable, "-m", "ray_jobs", "status", str(tmp_path), "--json"]

        def report_in_work() -> Any:
            report = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
            stage = report["stages"]["synthesized"]
            return report if stage["posts"] in {4, 10} and stage["working"] == 2 else None

        report = wait_until(report_in_work)
    finally:
        store.create("go", b"")
        working.join(timeout=60)
    stage = report["stages"]["synthesized"]
    assert stage["posts"] + stage["left"] == 12
    assert stage["posts_per_s"] > 0
    assert [driver["alive"] for driver in report["drivers"]] == [True]
    after = status.status(str(tmp_path))
    assert (after["drivers"], after["stages"]["synthesized"]["left"]) == ([], 0)


def test_failures_match_the_rows(augmented: Path, copied: Callable[..., Path]) -> None:
    run = copied(augmented)
    (run / "augmented" / "original" / "manifest.json").unlink()  # count this arm from its footers
    report = status.status(str(run))
    assert report["finished"] == ["adaptive"]
    for folder in ("posts", "augmented/adaptive", "augmented/original"):
        rows = [row for file in (run / folder).glob("*.parquet") for row in pq.read_table(file).to_pylist()]
        num_bad = sum(row["image_status"].startswith("bad_image") for row in rows)
        stage = report["stages"][folder]
        assert (stage["failed"], stage["posts"], stage["left"]) == (num_bad, len(rows), 0)
        assert num_bad == 4
    assert report["stages"]["embeddings"]["posts"] == report["stages"]["scores"]["posts"] == 96


@pytest.mark.parametrize(
    ("left_out", "read"), [([], {"facts": 2}), (["facts"], {"facts": 2, "posts": 10, "synthesized": 10})]
)
def test_reads_only_footers_with_statuses(
    augmented: Path,
    copied: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    left_out: list[str],
    read: dict[str, int],
) -> None:
    run = copied(augmented, leaving_out=left_out)
    requests: dict[str, list[str]] = {"get": [], "head": []}
    for name, keys in requests.items():
        original = getattr(obstore, name)

        def counting(
            objects: Any, key: str, *words: Any, keys: list[str] = keys, original: Any = original, **more: Any
        ) -> Any:
            keys.append(key)
            return original(objects, key, *words, **more)

        monkeypatch.setattr(obstore, name, counting)
    status.status(str(run))
    footers = [key for key in requests["get"] if key.endswith(".parquet")]
    assert Counter(key.partition("/")[0] for key in footers) == read
    assert not [key for key in requests["head"] if key.endswith(".parquet")]


def test_watch_reads_each_footer_once(tmp_path: Path, amia: Amia, monkeypatch: pytest.MonkeyPatch) -> None:
    store, [*_, last] = write_partial_run(Store(tmp_path)), toy_plan(SHARDS).shards
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt
        if len(pauses) == 2:
            table = pa.table({"id": ["x", "y"], "synthesis_status": ["ok", "failed(black)"]})
            counts = {"synthesis=ok": 1, "synthesis=failed(black)": 1}
            data, _ = encode(table, stage="synthesized", identity="toy", counts=counts)
            store.create(f"synthesized/{last}.parquet", data)

    monkeypatch.setattr(status_command.time, "sleep", sleep)
    read_keys: list[str] = []
    read_all_metadata = facts.read_all_metadata

    def read(store: Store, keys: Sequence[str], sizes: Mapping[str, int]) -> list[ShardMetadata]:
        read_keys.extend(keys)
        return read_all_metadata(store, keys, sizes)

    monkeypatch.setattr(facts, "read_all_metadata", read)
    code, stdout, _ = amia("status", tmp_path, "--watch", "--json")
    assert code == 130
    stages = [json.loads(line)["stages"]["synthesized"] for line in stdout.splitlines()]
    assert [(stage["shards"], stage["failed"]) for stage in stages] == [(3, 1), (3, 1), (4, 2)]
    assert pauses == [status_command.WATCH_S] * 3
    assert len(read_keys) == len(set(read_keys)) == 4


def test_imports_neither_ray_nor_torch(augmented: Path) -> None:
    code = (
        "import sys; from ray_jobs.cli.main import main; sys.argv = ['amia', {words}]\n"
        "try: main()\n"
        "except SystemExit as error: assert not error.code\n"
        "sys.exit(' '.join(name for name in ('ray', 'torch', 'transformers') if name in sys.modules) or 0)"
    )
    for words in (f"'status', '{augmented}'", f"'gc', '{augmented}'"):
        command = [sys.executable, "-c", code.replace("{words}", words)]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (process.returncode, process.stderr) == (0, "")
        assert str(augmented) in process.stdout


def epoch_report(epoch: int) -> EpochReport:
    scores = {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    return EpochReport(epoch=epoch, loss={"tags": 1.0}, **scores, best=True, lr=0.1, posts_per_s=1, waited=0)


def test_trainings_cells_and_tables(store: Store, amia: Amia) -> None:
    for name in ("running", "done", "waiting"):
        check_or_write_identity(store, f"models/{name}", {"settings": {"training": {"epochs": 20}}})
    for name, epochs in (("running", 3), ("done", 2)):
        for epoch in range(1, epochs + 1):
            publish_curves(store, f"models/{name}/tensorboard", epoch_report(epoch))
            StoreCheckpoints(store, f"models/{name}/checkpoints").save(epoch, {"state.json": b"{}"}, epoch)
    store.create("models/done/training.json", json.dumps({"epochs": 2, "best": {"f1": 0.75}}).encode())
    store.create("models/notes.txt", b"not a model")
    store.create("cells/abc.json", b"{}")
    store.create("experiments/demo/tables.json", b"{}")
    if store.folder is not None:
        for epoch in (1, 2, 3):
            curve = store.folder / f"models/running/tensorboard/events.out.tfevents.{epoch:010d}"
            os.utime(curve, (now := time.time() - 90 + 30 * epoch, now))
    report = status.status(store.address)
    by_name = {training["name"]: training for training in report["trainings"]}
    assert by_name.keys() == {"running", "done", "waiting"}
    running = by_name["running"]
    assert (running["finished"], running["epochs"], running["of_epochs"]) == (False, 3, 20)
    assert by_name["done"]["f1"] == 0.75
    assert by_name["waiting"]["epochs"] == 0
    if store.folder is not None:
        assert running["epoch_s"] == pytest.approx(30, abs=0.1)
    assert (report["cells"], report["experiments"]) == (1, ["demo"])
    stdout = amia("status", store.address)[1]
    assert "models: 1 trained, 1 in training, 1 before their first epoch" in stdout
    assert "running: epoch 3 of at most 20" in stdout
    assert "experiments: 1 results in cells/; tables: demo" in stdout


def test_run_without_a_plan(tmp_path: Path, amia: Amia) -> None:
    store = Store(tmp_path)
    assert "nothing is published" in amia("status", tmp_path)[1]
    store.create("scratch/abc/bucket-0000/rows-train-00000.arrow", b"x" * 2_000_000)
    assert "an ingest is reading its corpus: 2.0 MB" in amia("status", tmp_path)[1]
    assert json.loads(amia("status", tmp_path, "--json")[1])["stages"] == {}


def test_predictions_of_some_splits(tmp_path: Path) -> None:
    store = Store(tmp_path)
    plan = toy_plan(3)
    plan = type(plan)(**{**{name: getattr(plan, name) for name in plan.__slots__}, "posts": {"train": 6, "test": 3}})
    plan.publish(store)
    store.create("predictions/umt/adaptive/identity.json", b"{}")
    store.create("predictions/umt/adaptive/test-00000-of-00002.parquet", b"x")
    stage = status.status(str(tmp_path))["stages"]["predictions/umt/adaptive"]
    assert (stage["shards"], stage["of_shards"], stage["left"]) == (1, 2, 1)


def test_partially_deleted_run(augmented: Path, copied: Callable[..., Path]) -> None:
    run = copied(augmented)
    (run / "augmented" / "adaptive" / "manifest.json").unlink()
    sorted((run / "synthesized").glob("*.parquet"))[0].unlink()
    report = status.status(str(run))
    synthesized = report["stages"]["synthesized"]
    assert (synthesized["shards"], synthesized["of_shards"]) == (9, 10)
    assert synthesized["posts"] < report["posts"] == 96
    assert sum(report["stages"]["posts"]["counts"].values()) == 96
    assert report["finished"] == ["original"]
    assert report["mixture"]


def test_missing_folder_is_not_created(tmp_path: Path) -> None:
    assert status.status(str(tmp_path / "none"))["stages"] == {}
    assert not (tmp_path / "none").exists()
