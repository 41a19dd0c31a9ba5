"""A standing cluster of several nodes on this machine, whose nodes come, go and die."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray.cluster_utils import Cluster
from ray.experimental import internal_kv

__all__ = ["HERE", "Nodes", "standing_cluster"]

HERE = Path(__file__).parent
PATHS = os.pathsep.join(map(str, (HERE, HERE.parents[1])))
"""Where drivers and actors find `toy`, and amia."""
QUICK_TO_MISS = {"health_check_period_ms": 1000, "health_check_failure_threshold": 5}
"""A node on this machine that has died is known to be dead within seconds."""


@dataclass
class Nodes:
    """A head without room for actors, where drivers attach, and workers."""

    cluster: Cluster
    workers: list[Any] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        """What attaches a command to it."""
        return {"RAY_ADDRESS": self.cluster.address, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": PATHS}

    def add(self, cpus: float) -> None:
        """One more worker node."""
        self.workers.append(self.cluster.add_node(num_cpus=cpus))

    def kill_raylet(self, place: int = 0) -> int:
        """`kill -9` of a worker node's raylet, and the node is gone; its process id."""
        node = self.workers.pop(place)
        raylet = node.all_processes["raylet"][0].process.pid
        os.kill(raylet, signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)  # what is left of it
        return int(raylet)

    def settle(self) -> None:
        """Wait until dead nodes are known to be dead: a driver on the same machine could attach itself to one."""
        self.cluster.wait_for_nodes()

    def kill_actor(self, place: int = 0) -> int:
        """`kill -9` of a process that runs a stage, one of those that run now; its process id, 0 where none does."""
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
        """A worker node on which a process of that name runs."""
        return next(place for place in range(len(self.workers)) if self._running(place, kind))

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


@contextmanager
def standing_cluster(*cpus: float) -> Iterator[Nodes]:
    """A head, and a worker node for each number of CPUs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            patch.delenv(name)
        patch.setenv("RAY_AUTH_MODE", "disabled")  # it listens on the loopback alone
        patch.setenv("PYTHONPATH", PATHS)
        patch.setenv("OMP_NUM_THREADS", "1")
        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": QUICK_TO_MISS}
        nodes = Nodes(Cluster(initialize_head=True, head_node_args=head))
        for each in cpus:
            nodes.add(each)
        try:
            yield nodes
        finally:
            started = [process for node in nodes.cluster.list_all_nodes() for process in _processes(node)]
            own = internal_kv.internal_kv_get_gcs_client()
            nodes.cluster.shutdown()
            if own is not None:  # a Ray that this process has joined: the other cluster's end cuts it off, too
                internal_kv._initialize_internal_kv(own)
            for process in started:
                process.wait(timeout=20)  # Ray ends them without looking, and Python complains of those


def _processes(node: Any) -> list[Any]:
    return [info.process for infos in node.all_processes.values() for info in infos]
