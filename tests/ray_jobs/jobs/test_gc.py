"""`amia gc`: what killed jobs leave goes, what is published or in somebody's hands stays."""

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
from tests.helpers.drivers import contents, same, stamps
from tests.helpers.toy import plan_of

Amia = Callable[..., tuple[int, str, str]]
PLAN = plan_of(3)
HOUR = 3600.0

PUBLISHED = [
    *("plan.json", "log/20260101T000000-node1-42-posts.jsonl", "log/x-error.txt", "quarantine/00000.jsonl"),
    *(f"{folder}/{name}" for folder in ("posts", "scores-batch") for name in ("identity.json", "some.parquet")),
    *("mixture/mixture.json", "mixture/bank.safetensors", "augmented/adaptive/manifest.json", "retry/identity.json"),
    *("augmented/adaptive/train-00000-of-00003.parquet", "cells/abc.json", "experiments/demo/tables.json"),
    *("models/done/model.safetensors", "models/done/tensorboard/events.out.tfevents.0000000001"),
    *("models/begun/checkpoints/epoch-00003/state.json", "models/begun/ray/17a/.validate_storage_marker"),
    *("predictions/umt/adaptive/test-00000-of-00001.parquet", "evaluations/umt/adaptive-test.json"),
    *("report.html", "corpus/train.txt", "corpus/draft#1", "notes#2", "retry/synthesized/train-00002-of-00003.parquet"),
]
"""What must stay whatever its age: published, needed by a training that goes on, or somebody else's."""

ORPHANS = [
    *("plan.json#1", "report.html#4", "posts/train-00000-of-00003.parquet#1", "augmented/adaptive/manifest.json#12"),
    *("models/done/checkpoints/epoch-00002/state.json", "models/done/ray/17b/snapshot.json", "probe/0123456789abcdef"),
    *("scratch/abc/bucket-0000/rows-train-00000.arrow", "scratch/abc/bucket-0000/keys-train-00000.arrow#3"),
    *("log/20260101T000000-node1-42-running.json", "retry/synthesized/train-00001-of-00003.parquet"),
]
"""What may go once it is old; of each another piece of work than of the others."""

DONE = ["models/done/training.json", "synthesized/train-00001-of-00003.parquet"]
"""What says that the last but one and the checkpoints are needed no longer."""


def write(run: Path, key: str, age_s: float) -> None:
    (run / key).parent.mkdir(parents=True, exist_ok=True)
    (run / key).write_bytes(key.encode())
    os.utime(run / key, (at := time.time() - age_s, at))


def made(run: Path, ages: dict[str, float]) -> None:
    for shard in PLAN.shards:
        write(run, f"posts/{shard}.parquet", 0)
    for key in (*PUBLISHED, *DONE):
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
def test_of_any_orphans_the_old_ones_go_and_nothing_else(ages: dict[str, float], older_than: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        made(run, ages)
        before, stamped = files(run), stamps(run)
        listed = collect(folder, older_than_s=older_than, dry_run=True)
        assert files(run) == before, "a dry run removed something"
        assert collect(folder, older_than_s=older_than) == listed
        gone = before - files(run)
        assert gone == {key for key, age in ages.items() if age > older_than}
        assert stamps(run).items() >= {(k, v) for k, v in stamped.items() if k not in gone}
        assert sum(each.files for each in listed) == len(gone)
        assert sum(each.bytes for each in listed) == sum(len(key) for key in gone)
        assert collect(folder, older_than_s=older_than) == []


def test_after_it_augment_finds_everything_published(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings]
) -> None:
    run = copied(augmented)
    for key in ORPHANS:
        if not key.startswith(("plan.json", "report", "retry")):
            write(run, key, 2 * HOUR)
    (run / "models" / "done" / "training.json").write_bytes(b"{}")
    os.utime(run / "models" / "done" / "training.json", (0, 0))
    before = {key: stamp for key, stamp in stamps(run).items() if "#" not in key}
    assert {each.key for each in collect(str(run))} > {"scratch/abc", "models/done/ray"}
    same(run, augmented)
    logs = files(run / "log")
    augment(str(run), small(), arms=("adaptive", "original"), accept_mixture=True, quiet=True)
    assert stamps(run) == before
    assert files(run / "log") == logs, "something was made again"
    assert contents(run) == contents(augmented)


def test_what_an_unfinished_ingest_needs_stays(tmp_path: Path) -> None:
    for shard in PLAN.shards[:2]:
        write(tmp_path, f"posts/{shard}.parquet", 48 * HOUR)
    PLAN.publish(Store(tmp_path))
    needed, other = f"{PLAN.scratch}/bucket-0000/order-train.arrow", "scratch/of-a-killed-first-pass/rows-00000.arrow"
    write(tmp_path, needed, 48 * HOUR)
    write(tmp_path, other, 48 * HOUR)
    assert [each.key for each in collect(str(tmp_path))] == ["scratch/of-a-killed-first-pass"]
    assert (tmp_path / needed).exists()


def test_a_scratch_that_is_still_written_to_stays_whole(tmp_path: Path) -> None:
    write(tmp_path, "scratch/abc/old", 48 * HOUR)
    write(tmp_path, "scratch/abc/new", 0)
    assert collect(str(tmp_path)) == []


def test_on_an_object_store(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(f"{bucket}/{tmp_path.name}")
    PLAN.publish(store)
    beat = HeartbeatRecord(host="node1", pid=42, started=0, working={})
    for key in [f"posts/{shard}.parquet" for shard in PLAN.shards]:
        store.create(key, b"published")
    orphans = {"probe/0123456789abcdef", "scratch/abc/x", "log/x-running.json"}
    for key in orphans:
        store.create(key, json.dumps(asdict(beat)).encode())
    before = store.list("").keys()
    assert collect(store.address) == []
    real = time.time
    monkeypatch.setattr(gc.time, "time", lambda: real() + 2 * HOUR)
    assert {each.what for each in collect(store.address)} == {
        *("probe of the storage", "scratch of an ingest", "heartbeat of a killed job")
    }
    assert store.list("").keys() == before - orphans


def test_half_written_files_are_called_as_this_obstore_calls_them(tmp_path: Path) -> None:
    seen: list[str] = []

    def slowly() -> Iterator[bytes]:
        for _ in range(3):
            yield b"x" * 6_000_000
            seen.extend(path.name for path in (tmp_path / "posts").iterdir())

    obstore.put(LocalStore(tmp_path, mkdir=True), "posts/a.parquet", slowly())
    assert set(seen) == {"a.parquet#1"}
    write(tmp_path, "posts/a.parquet#1", 2 * HOUR)
    assert Store(tmp_path).list_sizes("") == {"posts/a.parquet": 18_000_000}, "a listing shows it, so it can be mistaken"
    assert [each.key for each in collect(str(tmp_path))] == ["posts/a.parquet#1"]
    assert files(tmp_path) == {"posts/a.parquet"}


@pytest.mark.parametrize(
    ("word", "seconds"), [("90s", 90), ("30m", 1800), ("1h", 3600), ("1.5h", 5400), ("2d", 172800)]
)
def test_durations(word: str, seconds: float) -> None:
    assert parse_duration(word) == seconds


@pytest.mark.parametrize("word", ["", "1", "h", "-1h", "1 week", "1h30m", "0s", "59s"])
def test_no_durations(word: str, amia: Amia, tmp_path: Path) -> None:
    write(tmp_path, "probe/x", 48 * HOUR)
    code, _, complained = amia("gc", tmp_path, "--older-than", word)
    assert code == 2
    assert complained.startswith("error: --older-than ")
    assert (tmp_path / "probe" / "x").exists()
    with pytest.raises(SettingsError):
        collect(str(tmp_path), older_than_s=parse_duration(word))


def test_what_it_says(tmp_path: Path, amia: Amia) -> None:
    made(tmp_path, {"scratch/abc/x": 2 * HOUR, "posts/train-00000-of-00003.parquet#1": 2 * HOUR})
    code, said, complained = amia("gc", tmp_path, "--dry-run")
    assert (code, complained) == (0, "")
    assert "scratch/abc: scratch of an ingest, 13 bytes in 1 file" in said
    assert "posts/train-00000-of-00003.parquet#1: half-written file" in said
    assert "2 files, 0.0 MB would be removed; nothing published was touched" in said
    told = json.loads(amia("gc", tmp_path, "--json")[1])
    assert [(each["key"], each["files"]) for each in told["orphans"]] == [
        ("posts/train-00000-of-00003.parquet#1", 1),
        ("scratch/abc", 1),
    ]
    assert "0 files, 0.0 MB removed" in amia("gc", tmp_path)[1]
