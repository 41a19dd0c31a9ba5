"""What follows from an unexpected error: its shard runs again, in another process or on other nodes, or the job ends.

A CUDA error, a failing node or a process that dies costs one lease. Only a shard that fails on several nodes, or
several times where there are no others, ends the job. Errors that a person must act on (`AmiaError`) do not come here:
they end it at once.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from amia.errors import RunError
from ray_jobs.storage.layout import LOG
from ray_jobs.storage.store import Store

__all__ = ["FAULTS_SUFFIX", "MAX_FAULTS", "Fault", "FaultLog", "Verdict", "describe", "read_faults"]

FAULTS_SUFFIX = "-faults.json"
"""End of the key of an execution's unexpected errors and deaths in `log/`."""

MAX_FAULTS = 3
"""Unexpected errors at one shard that end the job, on as many different nodes if there are."""
MAX_FAULTS_ANYWHERE = 8
"""Errors at one shard that end the job although other nodes might not fail: Ray does not have to choose them."""
MAX_CONSECUTIVE = 2
"""Errors of a stage on one node, without a published shard between them, after which the job leaves the node out."""


class Verdict(StrEnum):
    """What an actor does after an unexpected error."""

    RETRY = "retry"
    """End the process. Ray starts another one, which takes the same lease."""
    LEAVE_OUT = "leave out"
    """Ask the driver to continue without this node."""
    END = "end"
    """Ask the driver to end the job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An unexpected error at a shard, or the death of the process that worked on it."""

    stage: str
    shard: str
    """Empty if the error is not about one shard: it occurred while weights were loaded."""
    host: str
    node: str
    """Id of the node in Ray; several nodes may share a host."""
    pid: int
    cause: str
    """Last line of the traceback, or a description of the death."""
    traceback: str = ""
    time: float
    """Seconds since 1970."""

    def to_json(self) -> dict[str, Any]:
        """Return the fault as JSON types."""
        return asdict(self)


class FaultLog:
    """All faults of one command. Decides what follows from each."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._consecutive: Counter[tuple[str, str]] = Counter()
        self._left_out: set[str] = set()

    def record(self, fault: Fault, num_nodes: int) -> Verdict:
        """Add an unexpected error. `num_nodes`: nodes that may run stages, those that were left out included."""
        self.faults.append(fault)
        self._consecutive[fault.node, fault.stage] += 1
        same = self.at(fault.stage, fault.shard)
        nodes = {other.node for other in same}
        if len(same) >= MAX_FAULTS_ANYWHERE or (len(same) >= MAX_FAULTS and len(nodes) >= min(MAX_FAULTS, num_nodes)):
            return Verdict.END
        others = num_nodes - len(self._left_out | {fault.node})
        if self._consecutive[fault.node, fault.stage] >= MAX_CONSECUTIVE and others > 0:
            self._left_out.add(fault.node)
            return Verdict.LEAVE_OUT
        return Verdict.RETRY

    def record_death(self, fault: Fault) -> None:
        """Add the death of a process, which Ray has replaced. Deaths at one shard have a limit of their own."""
        self.faults.append(fault)

    def reset(self, node: str, stage: str) -> None:
        """Forget the consecutive errors of a stage on a node, where it has published a shard."""
        self._consecutive.pop((node, stage), None)

    def at(self, stage: str, shard: str) -> list[Fault]:
        """Return the unexpected errors at a shard of a stage, without deaths."""
        return [fault for fault in self.faults if fault.traceback and (fault.stage, fault.shard) == (stage, shard)]


def describe(faults: Sequence[Fault]) -> str:
    """Return how often each cause occurred and where, in one line."""
    hosts: dict[str, list[str]] = {}
    for fault in faults:
        hosts.setdefault(fault.cause, []).append(f"{fault.host} ({fault.node[:8]})")
    return "; ".join(
        f"{len(places)} x {cause} on {', '.join(dict.fromkeys(places))}" for cause, places in hosts.items()
    )


def read_faults(store: Store) -> list[Fault]:
    """Return the unexpected errors and deaths of all executions of a run, the oldest first.

    Raises RunError for a file that amia did not write.
    """
    faults = []
    for key in store.list(LOG):
        if key.endswith(FAULTS_SUFFIX):
            try:
                faults += [Fault(**fault) for fault in json.loads(store.read(key))]
            except (ValueError, TypeError) as error:
                raise RunError(f"{key} in {store.address} was not written by amia: {error!r}") from error
    return sorted(faults, key=lambda fault: fault.time)
