"""Progress of an execution while its shards are in progress: posts per second, time left and failures.

Actors report each shard to a tracker, a small separate actor. A thread of the driver polls it and shows a live
display on a terminal, plain lines elsewhere, and nothing with `--json`.
"""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import ray
from ray.util.metrics import Gauge
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ray_jobs.runtime.cluster import alive_nodes, driver_node_options
from ray_jobs.runtime.console import console
from ray_jobs.runtime.faults import Fault, FaultLog, Verdict
from ray_jobs.runtime.throughput import format_duration

__all__ = ["ProcessLocation", "ProgressDisplay", "ProgressTracker"]

TERMINAL_INTERVAL_S = 0.5
PLAIN_INTERVAL_S = 15.0


class ProcessLocation(NamedTuple):
    """Where a process of a stage runs."""

    host: str
    node: str
    """Id of the node in Ray."""
    pid: int


class ProgressTracker:
    """Counts what the actors report. Runs as an actor, see `start`.

    Ray exports the posts that are left as `ray_amia_posts_left{stage}`. The series ends with the execution, so an alert
    about a value that stands still never concerns a finished job.
    """

    def __init__(self, totals: Mapping[str, int]) -> None:
        self._left = Counter(totals)
        self._gauge = Gauge("amia_posts_left", "Posts that the execution has yet to publish", ("stage",))
        for stage, posts in totals.items():
            self._gauge.set(posts, {"stage": stage})
        self._posts: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._attempts: Counter[tuple[str, str]] = Counter()
        self._in_progress: dict[tuple[str, str], ProcessLocation] = {}
        self._faults = FaultLog()
        self._log: list[dict[str, Any]] = []
        self._is_stopped = False

    @classmethod
    def start(cls, totals: Mapping[str, int]) -> Any:
        """Start a tracker as an actor without resources on the driver's node, and return its handle.

        `totals`: number of posts by stage.
        """
        return ray.remote(cls).options(**driver_node_options()).remote(dict(totals))

    def start_shard(self, stage: str, shard: str, location: ProcessLocation) -> int:
        """Record that a process starts a shard. Returns the number of processes that died at it, and this one."""
        if previous := self._in_progress.get((stage, shard)):
            self._attempts[stage, shard] += 1
            death = "the process died: it was killed, ran out of memory, hung, or lost its node"
            fault = Fault(stage=stage, shard=shard, **previous._asdict(), cause=death, time=time.time())
            self._faults.record_death(fault)
        self._in_progress[stage, shard] = location
        return self._attempts[stage, shard] + 1

    def finish_shard(self, stage: str, posts: int, failed: int, line: dict[str, Any], node: str) -> None:
        """Record that a shard of a stage is published, with its line of the log."""
        self._posts[stage] += posts
        self._left[stage] -= posts
        self._gauge.set(self._left[stage], {"stage": stage})
        self._failed[stage] += failed
        self._in_progress.pop((stage, line["shard"]), None)
        self._faults.reset(node, stage)
        self._log.append(line)

    def record_fault(self, fault: Fault) -> Verdict:
        """Record an unexpected error. Returns what follows from it.

        No shard is in progress in that process anymore: it had loaded the next one, too.
        """
        location = ProcessLocation(fault.host, fault.node, fault.pid)
        self._in_progress = {key: other for key, other in self._in_progress.items() if other != location}
        nodes = [node for node in alive_nodes() if node["Resources"].get("CPU", 0) > 0]
        return self._faults.record(fault, num_nodes=len(nodes))

    def faults(self) -> list[Fault]:
        """Return all unexpected errors and deaths of processes."""
        return self._faults.faults

    def errors_at(self, stage: str, shard: str) -> list[Fault]:
        """Return the unexpected errors at a shard, without deaths."""
        return self._faults.at(stage, shard)

    def stop(self) -> None:
        """Ask all actors not to start another shard."""
        self._is_stopped = True

    def is_stopped(self) -> bool:
        """Return True once `stop` was called."""
        return self._is_stopped

    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the finished posts and the failed posts by stage."""
        return dict(self._posts), dict(self._failed)

    def shards_in_progress(self) -> list[tuple[str, str]]:
        """Return stage and shard of everything that was started and not finished."""
        return sorted(self._in_progress)

    def take_log_lines(self) -> list[dict[str, Any]]:
        """Return the lines of the shards that finished since the last call: stage, shard, host, devices, seconds."""
        lines, self._log = self._log, []
        return lines


class ProgressDisplay:
    """Shows the progress while a block runs: `with ProgressDisplay(tracker, {"embed": 1200}): ...`.

    `totals`: number of posts by stage; 0 if it is unknown.
    """

    def __init__(self, tracker: Any, totals: dict[str, int], *, quiet: bool = False) -> None:
        self._tracker, self._totals, self._quiet = tracker, totals, quiet
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        if self._quiet:
            self._stop.wait()
        elif console.is_terminal:
            self._show_bars()
        else:
            self._print_lines()

    def _show_bars(self) -> None:
        columns = (
            TextColumn("{task.description:>11}"),
            BarColumn(),
            TextColumn("{task.fields[summary]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console) as bars:
            tasks = {name: bars.add_task(name, total=total or None, summary="") for name, total in self._totals.items()}
            start = time.monotonic()
            while not self._stop.wait(TERMINAL_INTERVAL_S):
                self._update(bars, tasks, start)
            self._update(bars, tasks, start)

    def _update(self, bars: Progress, tasks: dict[str, TaskID], start: float) -> None:
        done, failed = self._counts()
        for name, task in tasks.items():
            summary = _summary(done.get(name, 0), self._totals[name], failed.get(name, 0), time.monotonic() - start)
            bars.update(task, completed=done.get(name, 0), summary=summary)

    def _print_lines(self) -> None:
        start = time.monotonic()
        is_last = False
        while not is_last:
            is_last = self._stop.wait(PLAIN_INTERVAL_S)
            done, failed = self._counts()
            for name, total in self._totals.items():
                summary = _summary(done.get(name, 0), total, failed.get(name, 0), time.monotonic() - start)
                console.print(f"{name:>11}  {summary}")

    def _counts(self) -> tuple[dict[str, int], dict[str, int]]:
        try:
            counts: tuple[dict[str, int], dict[str, int]] = ray.get(self._tracker.counts.remote(), timeout=10)
        except ray.exceptions.RayError:
            return {}, {}  # the cluster is shutting down; the job itself reports the error
        return counts


def _summary(done: int, total: int, failed: int, seconds: float) -> str:
    rate = done / max(seconds, 1e-9)
    summary = f"{done:,} of {total:,} posts" if total else f"{done:,} posts"
    if done:
        summary += f", {rate:,.1f} posts/s"
        if done < total:
            summary += f", {format_duration((total - done) / rate)} left"
    return summary + (f", {failed:,} failed" if failed else "")
