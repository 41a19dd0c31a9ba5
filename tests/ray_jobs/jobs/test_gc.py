"""`amia gc` removes what killed jobs left behind and keeps what is published or in use."""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import obstore
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obstore.store import LocalStore

from amia.errors import SettingsError
from ray_jobs.jobs import gc
from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.gc import collect, parse_duration
from ray_jobs.runtime.heartbeat import HeartbeatRecord
from ray_jobs.settings.job import Settings
from ray_jobs.storage.store import Store
from tests.helpers.drivers import assert_equal_files, file_stamps, read_files
from tests.helpers.toy import toy_plan

Amia = Callable[..., tuple[int, str, str]]
PLAN = toy_plan(3)
HOUR = 3600.0

PUBLISHED = [
    *("plan.json", "log/20260101T000000-node1-42-posts.jsonl", "log/x-error.txt", "quarantine/00000.jsonl"),
    *(f"{folder}/{name}" for folder in ("posts", "scores") for name in ("identity.json", "some.parquet")),
    *("mixture/mixture.json", "mixture/bank.safetensors", "augmented/adaptive/manifest.json", "retry/identity.json"),
    *("augmented/adaptive/train-00000-of-00003.parquet", "cells/abc.json", "experiments/demo/tables.json"),
    *("models/done/model.safetensors", "models/done/tensorboard/events.out.tfevents.0000000001"),
    *("models/started/checkpoints/epoch-00003/state.json", "models/started/ray/17a/.validate_storage_marker"),
    *("predictions/umt/adaptive/test-00000-of-00001.parquet", "evaluations/umt/adaptive-test.json"),
    *("report.html", "corpus/train.txt", "corpus/draft#1", "notes#2", "retry/synthesized/train-00002-of-00003.parquet"),
]
"""Files that stay at any age: published, needed by an unfinished training, or not created by amia."""

ORPHANS = [
    *("plan.json#1", "report.html#4", "posts/train-00000-of-00003.parquet#1", "augmented/adaptive/manifest.json#12"),
    *("models/done/checkpoints/epoch-00002/state.json", "models/done/ray/17b/snapshot.json", "probe/0123456789abcdef"),
    *("scratch/abc/bucket-0000/rows-train-00000.arrow", "scratch/abc/bucket-0000/keys-train-00000.arrow#3"),
    *("log/20260101T000000-node1-42-running.json", "retry/synthesized/train-00001-of-00003.parquet"),
]
"""Files that are removed once they are old. No two belong to the same orphan."""

COMPLETED = ["models/done/training.json", "synthesized/train-00001-of-00003.parquet"]
"""Files that show that the checkpoints and the previous shard of `ORPHANS` are no longer needed."""


def write(run: Path, key: str, age_s: float) -> None:
    (run / key).parent.mkdir(parents=True, exist_ok=True)
    (run / key).write_bytes(key.encode())
    os.utime(run / key, (at := time.time() - age_s, at))


def write_files(run: Path, ages: dict[str, float]) -> None:
    for shard in PLAN.shards:
        write(run, f"posts/{shard}.parquet", 0)
    for key in (*PUBLISHED, *COMPLETED):
        write(run, key, 100 * HOUR)
    (run / "plan.json").write_text(json.dumps(asdict(PLAN)))
    for key, age in ages.items():
        write(run, key, age)


def files(run: Path) -> set[str]:
    return {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}


@settings(max_examples=25, deadline=None)
@given(
    ages=st.fixed_dictionaries({key: st.sampled_from([0.0, 0.5 * HOUR, 2 * HOUR, 48 * HOUR]) for key in ORPHANS}),
    older_than=st.sampled_from([60.0, HOUR, 24 * HOUR]),
)
def test_removes_exactly_the_old_orphans(ages: dict[str, float], older_than: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        write_files(run, ages)
        before, stamps_before = files(run), file_stamps(run)
        listed = collect(folder, older_than_s=older_than, dry_run=True)
        assert files(run) == before, "a dry run removed something"
        assert collect(folder, older_than_s=older_than) == listed
        removed = before - files(run)
        assert removed == {key for key, age in ages.items() if age > older_than}
        assert file_stamps(run).items() >= {(k, v) for k, v in stamps_before.items() if k not in removed}
        assert sum(orphan.files for orphan in listed) == len(removed)
        assert sum(orphan.bytes for orphan in listed) == sum(len(key) for key in removed)
        assert collect(folder, older_than_s=older_than) == []


def test_augment_recomputes_nothing_afterwards(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings]
) -> None:
    run = copied(augmented)
    for key in ORPHANS:
        if not key.startswith(("plan.json", "report", "retry")):
            write(run, key, 2 * HOUR)
    (run / "models" / "done" / "training.json").write_bytes(b"{}")
    os.utime(run / "models" / "done" / "training.json", (0, 0))
    before = {key: stamp for key, stamp in file_stamps(run).items() if "#" not in key}
    assert {orphan.key for orphan in collect(str(run))} > {"scratch/abc", "models/done/ray"}
    assert_equal_files(run, augmented)
    logs = files(run / "log")
    augment(str(run), small(), arms=("adaptive", "original"), accept_mixture=True, quiet=True)
    assert file_stamps(run) == before
    assert files(run / "log") == logs, "a stage ran again"
    assert read_files(run) == read_files(augmented)


def test_removes_tables_of_other_shards(augmented: Path, copied: Callable[..., Path]) -> None:
    run = copied(augmented)
    outdated = f"facts/posts/{'0' * 32}.parquet"
    write(run, outdated, 0)
    tables = set((run / "facts").rglob("*.parquet"))
    for path in tables:
        os.utime(path, (0, 0))
    assert len(tables) > 5
    assert [(orphan.what, orphan.key) for orphan in collect(str(run))] == [("facts of other shards", outdated)]
    assert set((run / "facts").rglob("*.parquet")) == tables - {run / outdated}


def test_keeps_scratch_of_unfinished_ingest(tmp_path: Path) -> None:
    for shard in PLAN.shards[:2]:
        write(tmp_path, f"posts/{shard}.parquet", 48 * HOUR)
    PLAN.publish(Store(tmp_path))
    in_use, other = f"{PLAN.scratch}/bucket-0000/order-train.arrow", "scratch/of-a-killed-first-pass/rows-00000.arrow"
    write(tmp_path, in_use, 48 * HOUR)
    write(tmp_path, other, 48 * HOUR)
    assert [orphan.key for orphan in collect(str(tmp_path))] == ["scratch/of-a-killed-first-pass"]
    assert (tmp_path / in_use).exists()


def test_keeps_scratch_that_is_still_written(tmp_path: Path) -> None:
    write(tmp_path, "scratch/abc/old", 48 * HOUR)
    write(tmp_path, "scratch/abc/new", 0)
    assert collect(str(tmp_path)) == []


def test_object_store(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(f"{bucket}/{tmp_path.name}")
    PLAN.publish(store)
    record = HeartbeatRecord(host="node1", pid=42, started=0, working={})
    for key in [f"posts/{shard}.parquet" for shard in PLAN.shards]:
        store.create(key, b"published")
    orphans = {"probe/0123456789abcdef", "scratch/abc/x", "log/x-running.json"}
    for key in orphans:
        store.create(key, json.dumps(asdict(record)).encode())
    before = store.list("").keys()
    assert collect(store.address) == []
    real_time = time.time
    monkeypatch.setattr(gc.time, "time", lambda: real_time() + 2 * HOUR)
    assert {orphan.what for orphan in collect(store.address)} == {
        *("probe of the storage", "scratch of an ingest", "heartbeat of a killed job")
    }
    assert store.list("").keys() == before - orphans


def test_half_written_files_are_named_as_by_obstore(tmp_path: Path) -> None:
    names: list[str] = []

    def chunks() -> Iterator[bytes]:
        for _ in range(3):
            yield b"x" * 6_000_000
            names.extend(path.name for path in (tmp_path / "posts").iterdir())

    obstore.put(LocalStore(tmp_path, mkdir=True), "posts/a.parquet", chunks())
    assert set(names) == {"a.parquet#1"}
    write(tmp_path, "posts/a.parquet#1", 2 * HOUR)
    assert Store(tmp_path).list_sizes("") == {"posts/a.parquet": 18_000_000}, "a listing includes the half-written file"
    assert [orphan.key for orphan in collect(str(tmp_path))] == ["posts/a.parquet#1"]
    assert files(tmp_path) == {"posts/a.parquet"}


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h", 3600), ("1.5h", 5400), ("2d", 172800)]
)
def test_parses_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1 week", "1h30m", "0s", "59s"])
def test_rejects_durations(text: str, amia: Amia, tmp_path: Path) -> None:
    write(tmp_path, "probe/x", 48 * HOUR)
    code, _, stderr = amia("gc", tmp_path, "--older-than", text)
    assert code == 2
    assert stderr.startswith("error: --older-than ")
    assert (tmp_path / "probe" / "x").exists()
    with pytest.raises(SettingsError):
        collect(str(tmp_path), older_than_s=parse_duration(text))


def test_prints_orphans(tmp_path: Path, amia: Amia) -> None:
    write_files(tmp_path, {"scratch/abc/x": 2 * HOUR, "posts/train-00000-of-00003.parquet#1": 2 * HOUR})
    code, stdout, stderr = amia("gc", tmp_path, "--dry-run")
    assert (code, stderr) == (0, "")
    assert "scratch/abc: scratch of an ingest, 13 bytes in 1 file" in stdout
    assert "posts/train-00000-of-00003.parquet#1: half-written file" in stdout
    assert "2 files, 0.0 MB would be removed; published files are untouched" in stdout
    report = json.loads(amia("gc", tmp_path, "--json")[1])
    assert [(orphan["key"], orphan["files"]) for orphan in report["orphans"]] == [
        ("posts/train-00000-of-00003.parquet#1", 1),
        ("scratch/abc", 1),
    ]
    assert "0 files, 0.0 MB removed" in amia("gc", tmp_path)[1]
