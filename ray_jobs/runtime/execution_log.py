"""The log of an execution in the run's `log/`: a line for each finished shard, and all unexpected errors.

Times, hosts and devices are kept out of manifests, since they differ between runs. The log is written about every
minute, so that a killed driver leaves it, too.
"""

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

import ray

from amia.errors import StoreError
from ray_jobs.runtime.console import console
from ray_jobs.runtime.faults import FAULTS_SUFFIX, Fault
from ray_jobs.storage.layout import LOG
from ray_jobs.storage.store import Store

__all__ = ["ExecutionLog"]

INTERVAL_S = 60.0
TIMEOUT_S = 30.0
"""Seconds to wait for the tracker."""

LogLine = dict[str, Any]


class ExecutionLog:
    """Writes the log while a block runs: `with ExecutionLog(store, tracker, "20260101T000000-node1-42", ["scores"])`.

    The lines are in `log/<driver>-<stages>-<number>.jsonl`, files that never change; the errors are in
    `log/<driver>-faults.json`, which grows. Errors of the storage are ignored: a full disk is reported by the shards.
    """

    def __init__(self, store: Store, tracker: Any, driver: str, stages: Sequence[str]) -> None:
        """`tracker`: handle of a `ProgressTracker`."""
        self._store, self._tracker = store, tracker
        self._name, self._faults_key = f"{LOG}/{driver}-{'+'.join(sorted(stages))}", f"{LOG}/{driver}{FAULTS_SUFFIX}"
        self._number, self._num_faults = 0, 0
        self._unwritten: list[LogLine] = []
        self._oom_reduced: Counter[str] = Counter()
        self._uncompiled: dict[tuple[str, str], str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def print_degradations(self) -> None:
        """Print which stages ran with smaller micro-batches or uncompiled."""
        for stage, count in self._oom_reduced.items():
            console.print(f"{stage}: memory ran out at {count:,} inputs, which were processed in smaller micro-batches")
        for (stage, part), reason in self._uncompiled.items():
            console.print(f"{stage}: {part} could not be compiled and runs uncompiled, more slowly: {reason}")

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self._write()
        self._write()

    def _write(self) -> None:
        """Write what is new. Without the tracker, its cluster is gone, and with it the rest of the log."""
        with contextlib.suppress(ray.exceptions.RayError):
            self._add(ray.get(self._tracker.take_log_lines.remote(), timeout=TIMEOUT_S))
            faults: list[Fault] = ray.get(self._tracker.faults.remote(), timeout=TIMEOUT_S)
            with contextlib.suppress(StoreError):
                self._write_lines()
                if len(faults) > self._num_faults:
                    content = json.dumps([fault.to_json() for fault in faults], indent=1)
                    self._store.replace(self._faults_key, content.encode())
                    self._num_faults = len(faults)

    def _add(self, lines: Sequence[LogLine]) -> None:
        self._unwritten += lines
        for line in lines:
            if count := line.get("oom_reduced", 0):
                self._oom_reduced[line["stage"]] += count
            for part, reason in line.get("uncompiled", {}).items():
                self._uncompiled[line["stage"], part] = reason

    def _write_lines(self) -> None:
        if self._unwritten:
            text = "".join(json.dumps(line) + "\n" for line in self._unwritten)
            while not self._store.create(f"{self._name}-{self._number:05d}.jsonl", text.encode()):
                self._number += 1
            self._number += 1
            self._unwritten = []
