"""A standing cluster of several nodes on this machine, whose nodes come, go and die.

It lives in a process of its own: Ray's client of a control store that has gone ends its whole process a minute later,
which must not be the one that runs the tests.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import psutil
from ray.cluster_utils import Cluster

from tests.helpers.paths import ROOT

__all__ = ["Nodes", "standing_cluster"]

PATHS = str(ROOT)
"""Where drivers and actors find `toy`, and amia."""
ENVIRONMENT = {"RAY_AUTH_MODE": "disabled", "PYTHONPATH": PATHS, "OMP_NUM_THREADS": "1"}
"""Without a token: it listens on the loopback alone."""
QUICK_TO_MISS = {"health_check_period_ms": 1000, "health_check_failure_threshold": 5}
"""A node on this machine that has died is known to be dead within seconds."""


class _Standing:
    """The nodes themselves: a head without room for actors, where drivers attach, and workers."""

    def __init__(self, cpus: Sequence[float]) -> None:
        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": QUICK_TO_MISS}
        # Closed with the tests' end of the pipe, also by their death. What Ray would start for it sends SIGTERM to the
        # whole process group, tests included.
        self.cluster = Cluster(initialize_head=True, head_node_args=head, shutdown_at_exit=False)
        self.workers: list[Any] = []
        for each in cpus:
            self.add(each)

    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, cpus: float) -> None:
        self.workers.append(self.cluster.add_node(num_cpus=cpus))

    def kill_raylet(self, place: int = 0) -> int:
        node = self.workers.pop(place % len(self.workers))
        raylet = node.all_processes["raylet"][0].process.pid
        os.kill(raylet, signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)  # what is left of it
        return int(raylet)

    def settle(self) -> None:
        self.cluster.wait_for_nodes()

    def kill_actor(self, place: int = 0) -> int:
        found = sorted(
            (process for place in range(len(self.workers)) for process in self._running(place, "MapWorker")),
            key=lambda process: process.pid,
        )
        if not found:
            return 0
        victim = found[place % len(found)]
        victim.kill()
        return int(victim.pid)

    def place_of(self, kind: str) -> int:
        return next(place for place in range(len(self.workers)) if self._running(place, kind))

    def close(self) -> None:
        self.cluster.shutdown()

    def _running(self, place: int, kind: str) -> list[psutil.Process]:
        raylet = psutil.Process(self.workers[place].all_processes["raylet"][0].process.pid)
        found = []
        for process in raylet.children(recursive=True):
            try:
                if kind in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found


class Nodes:
    """The standing cluster, as its drivers know it: each call is done in the cluster's own process."""

    def __init__(self, process: Connection) -> None:
        self._process = process

    def env(self) -> dict[str, str]:
        """What attaches a command to it."""
        return {**ENVIRONMENT, "RAY_ADDRESS": self._call("address")}

    def add(self, cpus: float) -> None:
        """One more worker node."""
        self._call("add", cpus)

    def kill_raylet(self, place: int = 0) -> int:
        """`kill -9` of the raylet of a worker node, and the node is gone; its process id."""
        return int(self._call("kill_raylet", place))

    def kill_actor(self, place: int = 0) -> int:
        """`kill -9` of a process that runs a stage, one of those that run now; its process id, 0 where none does."""
        return int(self._call("kill_actor", place))

    def place_of(self, kind: str) -> int:
        """A worker node on which a process of that name runs."""
        return int(self._call("place_of", kind))

    def settle(self) -> None:
        """Wait until dead nodes are known to be dead: a driver on the same machine could attach itself to one."""
        self._call("settle")

    def _call(self, name: str, *words: Any) -> Any:
        self._process.send((name, words))
        return self._process.recv()


@contextmanager
def standing_cluster(*cpus: float) -> Iterator[Nodes]:
    """A head, and a worker node for each number of CPUs."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_stand, args=(theirs, cpus))
    process.start()
    theirs.close()
    try:
        yield Nodes(ours)
    finally:
        ours.close()
        process.join()


def _stand(orders: Connection, cpus: Sequence[float]) -> None:
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        del os.environ[name]  # what the tests' own Ray goes by
    os.environ.update(ENVIRONMENT)
    nodes = _Standing(cpus)
    try:
        while True:
            name, words = orders.recv()
            orders.send(getattr(nodes, name)(*words))
    except EOFError:  # whoever asked for it is done with it, or dead
        nodes.close()
