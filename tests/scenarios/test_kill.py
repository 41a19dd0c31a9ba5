"""`kill -9` of the driver and the same command again: every post once, and published files unchanged."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.gc import collect
from ray_jobs.jobs.ingest import ingest
from ray_jobs.settings.job import Settings
from tests.helpers.drivers import assert_equal_files, file_stamps, kill_when, read_files, shards, start


def daemons(driver: int) -> list[psutil.Process]:
    """Return the daemons of Ray below a driver. Its other processes exit when these are gone."""
    children = psutil.Process(driver).children(recursive=True)
    return [process for process in children if process.name() in {"raylet", "gcs_server"}]


@pytest.mark.promise(1, 27)
@pytest.mark.usefixtures("in_this_process")  # the second driver; `test_kills.py` has both on actors
def test_killed_during_mixing(
    augmented: Path,
    copied: Callable[..., Path],
    small: Callable[..., Settings],
    small_words: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = copied(augmented, leaving_out=["augmented", "log"])
    words = ("augment", "--run", str(run), "--config", "demo", "--accept-mixture", "--arm", "adaptive", "--arm")
    driver = start(*words, "original", *small_words, "pools.mix.lease=1")
    started: list[psutil.Process] = []

    def is_mixing() -> bool:
        if len(started) < 2:  # before the first shard, since listing them takes longer than mixing a few shards
            started[:] = daemons(driver.pid)
        return len(shards(run, "augmented/original")) >= 2

    kill_when(driver, is_mixing)
    assert {process.name() for process in started} == {"raylet", "gcs_server"}
    assert psutil.wait_procs(started, timeout=30)[1] == [], "Ray of the killed driver is still running"
    assert 2 <= len(shards(run, "augmented/original")) < 10, "killed too late for this test"
    stamps_before = file_stamps(run)
    assert not (run / "augmented" / "adaptive" / "manifest.json").exists()

    result = augment(str(run), small(), arms=("adaptive", "original"), accept_mixture=True, quiet=True)
    assert {arm: counts.total() for arm, counts in result.counts.items()} == {"adaptive": 96, "original": 96}
    assert {key: file_stamps(run)[key] for key in stamps_before} == stamps_before
    files, expected = read_files(run), read_files(augmented)
    half_written = {key for key in files if "#" in key}  # by the killed process; readers ignore them
    assert files.keys() - half_written == expected.keys()
    assert all(files[key] == expected[key] for key in expected)
    assert not any(key.endswith((".parquet", ".json", ".safetensors")) for key in half_written)

    hours_later = time.time() + 7200
    monkeypatch.setattr(time, "time", lambda: hours_later)
    [heartbeat] = (run / "log").glob("*-running.json")  # of the killed driver
    assert {orphan.key for orphan in collect(str(run))} == {*half_written, f"log/{heartbeat.name}"}
    assert_equal_files(run, augmented)


@pytest.mark.promise(1)
@pytest.mark.usefixtures("in_this_process")  # the second driver
def test_killed_between_the_passes_of_ingest(
    ingested: Path, corpus: Path, tmp_path: Path, small: Callable[..., Settings], small_words: Sequence[str]
) -> None:
    run = tmp_path / "run"
    kill_when(
        start("ingest", str(corpus), "--run", str(run), "--config", "demo", *small_words),
        (run / "plan.json").exists,
    )
    assert len(shards(run, "posts")) < 10
    assert (run / "scratch").exists()
    (run / "scratch" / "0123456789ab").mkdir()  # left by a driver that was killed in its first pass
    (run / "scratch" / "0123456789ab" / "rows-00000.arrow").write_bytes(b"half")
    plan = (run / "plan.json").read_bytes()
    result = ingest(str(corpus), str(run), small(), quiet=True)
    assert result.counts.total() == 96
    assert (run / "plan.json").read_bytes() == plan
    assert_equal_files(run, ingested, "posts")
    assert not (run / "scratch").exists()


@pytest.mark.slow  # `test_executor.py` tests it with a stage without a model
def test_killed_actor_is_replaced(augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings]) -> None:
    run = copied(augmented, leaving_out=["synthesized", "augmented", "log"])
    this_process = psutil.Process()
    killed: list[int] = []
    actors_before = stage_processes(this_process)

    def kill() -> None:
        while len(shards(run, "synthesized")) < 2:
            time.sleep(0.005)
        for process in stage_processes(this_process) - actors_before:
            killed.append(process.pid)
            process.kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    augment(str(run), small(), arms=("adaptive", "original"), accept_mixture=True, quiet=True)
    killer.join()
    assert killed
    assert_equal_files(run, augmented)


def stage_processes(parent: psutil.Process) -> set[psutil.Process]:
    """Return the processes below `parent` that run a stage."""
    actors = set()
    for process in parent.children(recursive=True):
        try:
            if "MapWorker" in " ".join(process.cmdline()):
                actors.add(process)
        except psutil.Error:
            continue
    return actors
