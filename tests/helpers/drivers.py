"""Run the command line in processes of its own, and compare runs byte by byte."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.helpers.ray_settings import RAY_SETTINGS

TIMEOUT_S = 200.0
DATA = ("posts", "embeddings", "scores", "mixture", "synthesized", "augmented")
"""Folders of a run whose content must not depend on how the work was distributed; that of `log/` does."""


def start(*arguments: str, **env: str) -> subprocess.Popen[str]:
    """Start `python -m ray_jobs ...` on a new local Ray, or on the one given by `RAY_ADDRESS=...`."""
    return start_python("-m", "ray_jobs", *arguments, **env)


def start_python(*arguments: str, **env: str) -> subprocess.Popen[str]:
    """Start a Python process with the Ray variables of all tests, and without others of this process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**clean, **RAY_SETTINGS, "OMP_NUM_THREADS": "1", **env},
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the process and return exit code, standard output and standard error."""
    stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, stdout, stderr


def kill_when(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Kill the process with SIGKILL as soon as the condition holds, which must be before it ends by itself."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert process.poll() is None, f"ended before it could be killed: {finish(process)}"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == -9


def read_files(run: Path, *folders: str) -> dict[str, bytes]:
    """Return the content of every file in some folders of a run, by key. Default: all of `DATA`."""
    return {
        str(path.relative_to(run)): path.read_bytes()
        for folder in folders or DATA
        for path in sorted((run / folder).rglob("*"))
        if path.is_file()
    }


def assert_equal_files(run: Path, other: Path, *folders: str) -> None:
    """Check that both runs hold the same files with the same bytes."""
    files, other_files = read_files(run, *folders), read_files(other, *folders)
    assert files.keys() == other_files.keys()
    assert [key for key in files if files[key] != other_files[key]] == []


def file_stamps(run: Path) -> dict[str, tuple[int, int]]:
    """Return inode and modification time of every published file. Published files never change either."""
    return {
        str(path.relative_to(run)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for folder in DATA
        for path in (run / folder).rglob("*")
        if path.is_file() and "#" not in path.name
    }


def shards(run: Path, folder: str) -> list[str]:
    """Return the names of the published shards in a folder."""
    return sorted(path.name for path in (run / folder).glob("*.parquet"))
