"""`kill -9` of the driver, then the same command again: every post once, and nothing published is touched."""

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
from tests.helpers.drivers import contents, kill_when, same, shards, stamps, start


def daemons(driver: int) -> list[psutil.Process]:
    """Ray's own processes below a driver; its helpers and workers see by themselves that these are gone."""
    below = psutil.Process(driver).children(recursive=True)
    return [process for process in below if process.name() in {"raylet", "gcs_server"}]


@pytest.mark.promise(1, 27)
def test_killed_while_it_draws(
    augmented: Path,
    copied: Callable[..., Path],
    small: Callable[..., Settings],
    small_words: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = copied(augmented, leaving_out=["synthesized", "augmented", "log"])
    words = ("augment", "--run", str(run), "--config", "demo", "--accept-mixture", "--arm", "adaptive", "--arm")
    words += ("original", *small_words, *(short := ("pools.synthesize.lease=2", "pools.mix.lease=1")))
    driver = start(*words)
    started: list[psutil.Process] = []

    def drawing() -> bool:
        if len(shards(run, "synthesized")) < 3:
            return False
        started.extend(daemons(driver.pid))
        return True

    kill_when(driver, drawing)
    assert {process.name() for process in started} == {"raylet", "gcs_server"}
    assert psutil.wait_procs(started, timeout=30)[1] == [], "the killed driver's Ray lives on"
    done = shards(run, "synthesized")
    assert 3 <= len(done) < 10, "killed too late to show anything"
    before = stamps(run)
    assert not (run / "augmented" / "adaptive" / "manifest.json").exists()

    again = augment(str(run), small(*short), arms=("adaptive", "original"), accept_mixture=True, quiet=True)
    assert {arm: counts.total() for arm, counts in again.counts.items()} == {"adaptive": 96, "original": 96}
    assert {key: stamps(run)[key] for key in before} == before
    whole, right = contents(run), contents(augmented)
    half_written = {key for key in whole if "#" in key}  # of the killed process: no reader takes them for shards
    assert whole.keys() - half_written == right.keys()
    assert all(whole[key] == right[key] for key in right)
    assert not any(key.endswith((".parquet", ".json", ".safetensors")) for key in half_written)

    hours_later = time.time() + 7200
    monkeypatch.setattr(time, "time", lambda: hours_later)
    [heartbeat] = (run / "log").glob("*-running.json")  # the killed driver's; the other has removed its own
    assert {each.key for each in collect(str(run))} == {*half_written, f"log/{heartbeat.name}"}
    same(run, augmented)


@pytest.mark.promise(1)
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
    (run / "scratch" / "0123456789ab").mkdir()  # as a driver leaves it that was killed in its first pass
    (run / "scratch" / "0123456789ab" / "rows-00000.arrow").write_bytes(b"half")
    plan = (run / "plan.json").read_bytes()
    again = ingest(str(corpus), str(run), small(), quiet=True)
    assert again.counts.total() == 96
    assert (run / "plan.json").read_bytes() == plan
    same(run, ingested, "posts")
    assert not (run / "scratch").exists()


@pytest.mark.slow  # `test_runner.py` has it with a stage that needs no model
def test_an_actor_killed_while_it_draws_is_replaced(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings]
) -> None:
    run = copied(augmented, leaving_out=["synthesized", "augmented", "log"])
    mine = psutil.Process()
    killed: list[int] = []
    before = actors(mine)

    def kill() -> None:
        while len(shards(run, "synthesized")) < 2:
            time.sleep(0.005)
        for process in actors(mine) - before:
            killed.append(process.pid)
            process.kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    augment(str(run), small(), arms=("adaptive", "original"), accept_mixture=True, quiet=True)
    killer.join()
    assert killed
    same(run, augmented)


def actors(of: psutil.Process) -> set[psutil.Process]:
    """Processes of Ray that are running a stage."""
    found = set()
    for process in of.children(recursive=True):
        try:
            if "MapWorker" in " ".join(process.cmdline()):
                found.add(process)
        except psutil.Error:
            continue
    return found
