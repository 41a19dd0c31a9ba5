"""Progress that a person can use: posts a second, time left and failures, while shards are still in the making.

Actors tell a board (a tiny actor of its own) after each shard; a thread of the driver asks it and shows a live line
on a terminal, a plain line now and then elsewhere, and nothing at all under `--json`.
"""

import threading
import time
from collections import Counter
from typing import Any

import ray
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ray_jobs.runtime.cluster import driver_node_options
from ray_jobs.runtime.console import console
from ray_jobs.runtime.throughput import format_duration

__all__ = ["ProgressDisplay", "ProgressTracker"]

LOOK_EVERY_S = 0.5
PLAIN_EVERY_S = 15.0


class ProgressTracker:
    """Counts what the actors report; run as an actor (`Board.start()`)."""

    def __init__(self) -> None:
        self._posts: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._begun: Counter[tuple[str, str]] = Counter()
        self._working: set[tuple[str, str]] = set()
        self._log: list[dict[str, Any]] = []
        self._stopped = False

    def begin(self, stage: str, shard: str) -> int:
        """A process takes up a shard. How many have, this one included: all others died or were taken away."""
        self._begun[stage, shard] += 1
        self._working.add((stage, shard))
        return self._begun[stage, shard]

    def stop(self) -> None:
        """From now on nobody shall take up another shard."""
        self._stopped = True

    def stopped(self) -> bool:
        """Whether so."""
        return self._stopped

    def report(self, stage: str, posts: int, failed: int, line: dict[str, Any]) -> None:
        """One shard of a stage is published (or was already there)."""
        self._posts[stage] += posts
        self._failed[stage] += failed
        self._working.discard((stage, line["shard"]))
        self._log.append(line)

    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """Posts done and posts failed, by stage."""
        return dict(self._posts), dict(self._failed)

    def working(self) -> list[tuple[str, str]]:
        """Stage and shard of what was begun and not reported yet."""
        return sorted(self._working)

    def log(self) -> list[dict[str, Any]]:
        """Every line reported so far: stage, shard, host, process, devices, seconds."""
        return self._log

    @classmethod
    def start(cls) -> Any:
        """A board as an actor that takes no resources, on the driver's node."""
        return ray.remote(cls).options(**driver_node_options()).remote()


class ProgressDisplay:
    """Shows a board while a block of code runs: `with Watch(board, {"embed": 1200}): ...`."""

    def __init__(self, board: Any, totals: dict[str, int], *, quiet: bool = False) -> None:
        self._board, self._totals, self._quiet = board, totals, quiet
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> "ProgressDisplay":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _show(self) -> None:
        if self._quiet:
            self._stop.wait()
        elif console.is_terminal:
            self._bars()
        else:
            self._lines()

    def _bars(self) -> None:
        columns = (
            TextColumn("{task.description:>11}"),
            BarColumn(),
            TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console) as bars:
            tasks = {name: bars.add_task(name, total=total, said="") for name, total in self._totals.items()}
            start = time.monotonic()
            while not self._stop.wait(LOOK_EVERY_S):
                self._update(bars, tasks, start)
            self._update(bars, tasks, start)

    def _update(self, bars: Progress, tasks: dict[str, TaskID], start: float) -> None:
        done, failed = self._ask()
        for name, task in tasks.items():
            said = _said(done.get(name, 0), self._totals[name], failed.get(name, 0), time.monotonic() - start)
            bars.update(task, completed=done.get(name, 0), said=said)

    def _lines(self) -> None:
        start = time.monotonic()
        ended = False
        while not ended:
            ended = self._stop.wait(PLAIN_EVERY_S)
            done, failed = self._ask()
            for name, total in self._totals.items():
                said = _said(done.get(name, 0), total, failed.get(name, 0), time.monotonic() - start)
                console.print(f"{name:>11}  {said}")

    def _ask(self) -> tuple[dict[str, int], dict[str, int]]:
        try:
            counts: tuple[dict[str, int], dict[str, int]] = ray.get(self._board.counts.remote(), timeout=10)
        except ray.exceptions.RayError:
            return {}, {}  # the cluster is going down; the job itself will say why
        return counts


def _said(done: int, total: int, failed: int, seconds: float) -> str:
    rate = done / max(seconds, 1e-9)
    said = f"{done:,} of {total:,} posts"
    if done:
        said += f", {rate:,.1f} posts/s"
        if done < total:
            said += f", {format_duration((total - done) / rate)} left"
    return said + (f", {failed:,} failed" if failed else "")
