"""The command line as processes of its own, as people start it, and runs compared as bytes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 200.0
DATA = ("posts", "embeddings", "scores", "mixture", "synthesized", "augmented")
"""The folders of a run that must not depend on how it was made; `log/` holds what does."""


def start(*words: str, **more: str) -> subprocess.Popen[str]:
    """`python -m ray_jobs ...` on a Ray of its own, or the one that `RAY_ADDRESS=...` names."""
    return start_python("-m", "ray_jobs", *words, **more)


def start_python(*words: str, **more: str) -> subprocess.Popen[str]:
    """A process of Python likewise."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.Popen(
        [sys.executable, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**clean, "OMP_NUM_THREADS": "1", **more},
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    said, complained = process.communicate(timeout=PATIENCE_S)
    return process.returncode, said, complained


def kill_when(process: subprocess.Popen[str], ready: Callable[[], bool]) -> None:
    """`kill -9` as soon as something is so, which must be before the process ends by itself."""
    deadline = time.monotonic() + PATIENCE_S
    while not ready():
        assert process.poll() is None, f"ended before it could be killed: {finish(process)}"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -9


def contents(run: Path, *folders: str) -> dict[str, bytes]:
    """Every file below some folders of a run (all of `DATA`), by key."""
    return {
        str(path.relative_to(run)): path.read_bytes()
        for folder in folders or DATA
        for path in sorted((run / folder).rglob("*"))
        if path.is_file()
    }


def same(run: Path, other: Path, *folders: str) -> None:
    """Both hold the same files with the same bytes."""
    left, right = contents(run, *folders), contents(other, *folders)
    assert left.keys() == right.keys()
    assert [key for key in left if left[key] != right[key]] == []


def stamps(run: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every file under its final name: a published file keeps both for ever."""
    return {
        str(path.relative_to(run)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for folder in DATA
        for path in (run / folder).rglob("*")
        if path.is_file() and "#" not in path.name
    }


def shards(run: Path, folder: str) -> list[str]:
    """What a reader takes for shards."""
    return sorted(path.name for path in (run / folder).glob("*.parquet"))
