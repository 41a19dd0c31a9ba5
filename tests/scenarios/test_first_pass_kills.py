"""`kill -9` in the first pass of ingest: the same plan and bytes, and no finished split is read again."""

import json
import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.helpers.drivers import assert_equal_files, finish, read_files, start

pytestmark = [pytest.mark.slow, pytest.mark.promise(1)]

KILLS = 10
SETTINGS = ("pools.read.max=2", "pools.sort.max=2", "split_mb=1", "bucket_mb=1")


def write_source(folder: Path) -> Path:
    folder.mkdir()
    for file in range(8):
        lines = [{"id": f"{file}-{n}", "text": f"post {n} of file {file}" + " words" * 30} for n in range(8_000)]
        lines[::500] = [{"id": f"{file}-{n}", "text": ""} for n in range(0, 8_000, 500)]  # rejected
        (folder / f"{file}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def finished(run: Path, part: str) -> set[str]:
    """Return the splits (`splits`) or buckets (`sorted`) that are finished."""
    return {path.stem for path in run.glob(f"scratch/*/{part}/*.json")}


def processed(run: Path, stage: str, *, without: int | None = None) -> list[str]:
    """Return the shards of a stage in the logs, except those of the process `without`."""
    lines = [json.loads(line) for file in run.glob(f"log/*-{stage}-*.jsonl") for line in file.read_text().splitlines()]
    return [line["shard"] for line in lines if line["pid"] != without]


@pytest.mark.timeout(1_200)
def test_no_finished_split_is_read_again(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source")
    command = ("ingest", str(source), "--run")
    code, _, stderr = finish(start(*command, str(tmp_path / "undisturbed"), *SETTINGS))
    assert (code, stderr) == (0, "")
    splits = len(processed(tmp_path / "undisturbed", "read"))
    buckets = len(processed(tmp_path / "undisturbed", "sort"))
    moments = random.Random(0)
    repeated = 0
    for number in range(KILLS):
        run = tmp_path / f"run{number}"
        after = moments.randrange(splits + buckets)
        driver = start(*command, str(run), *SETTINGS)
        while len(finished(run, "splits")) + len(finished(run, "sorted")) < after:
            assert driver.poll() is None, finish(driver)
            time.sleep(0.002)
        victim = None
        if number % 2:
            while victim is None:  # an actor
                for child in psutil.Process(driver.pid).children(recursive=True):
                    with suppress(psutil.Error):
                        if "MapWorker" in " ".join(child.cmdline()):
                            victim = child.pid
            os.kill(victim, signal.SIGKILL)
            before = {part: finished(run, part) for part in ("splits", "sorted")}
            code, _, stderr = finish(driver)
        else:
            driver.kill()
            driver.communicate()
            before = {part: finished(run, part) for part in ("splits", "sorted")}
            for log in run.glob("log/*.jsonl"):
                log.unlink()  # what the second driver logs is what it did
            code, _, stderr = finish(start(*command, str(run), *SETTINGS))
        assert (code, stderr) == (0, "")
        for part, stage in (("splits", "read"), ("sorted", "sort")):
            seen = processed(run, stage, without=victim)
            again = before[part] & set(seen) if victim is None else {shard for shard in seen if seen.count(shard) > 1}
            repeated += len(again)
        print(f"kill {number}: {'actor' if victim else 'driver'} after {after} of {splits} + {buckets}, {before}")
        assert (run / "plan.json").read_bytes() == (tmp_path / "undisturbed/plan.json").read_bytes()
        assert_equal_files(run, tmp_path / "undisturbed", "posts", "index", "quarantine")
        assert read_files(run, "scratch") == {}
    assert repeated == 0
