"""A running cluster of several nodes on this machine, to which tests add nodes and whose processes they kill.

The cluster is in a process of its own: a Ray client whose control store is gone terminates its whole process a minute
later, which must not be the process of the tests.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import psutil
from ray.cluster_utils import Cluster

from tests.helpers.paths import ROOT
from tests.helpers.ray_settings import RAY_SETTINGS

__all__ = ["Nodes", "running_cluster"]

ENVIRONMENT = {**RAY_SETTINGS, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
"""Drivers and actors import amia and the test helpers. No token: the cluster listens on the loopback interface only."""
FAST_HEALTH_CHECKS = {"health_check_period_ms": 1000, "health_check_failure_threshold": 5}
"""The death of a node is noticed within seconds."""
WAIT_S = 30.0
"""A replaced actor runs again within that time."""


class Nodes:
    """The running cluster. Every call is executed in the process of the cluster."""

    def __init__(self, process: Connection) -> None:
        self._process = process

    def env(self) -> dict[str, str]:
        """Return the environment variables that attach a command to the cluster."""
        return {**ENVIRONMENT, "RAY_ADDRESS": self._call("address")}

    def add(self, cpus: float) -> None:
        """Add a worker node."""
        self._call("add", cpus)

    def kill_raylet(self, index: int = 0) -> int:
        """Kill the raylet of a worker node with `kill -9` and remove the node. Returns its process id."""
        return int(self._call("kill_raylet", index))

    def kill_actor(self, index: int = 0) -> int:
        """Kill one of the processes that run a stage with `kill -9`. Returns its process id, 0 if none runs."""
        return int(self._call("kill_actor", index))

    def node_of(self, process_name: str) -> int:
        """Return the index of a worker node that runs a process of that name. Waits for one if none does."""
        return int(self._call("node_of", process_name))

    def settle(self) -> None:
        """Wait until dead nodes are known to be dead: a new driver on this machine could attach to one."""
        self._call("settle")

    def _call(self, name: str, *arguments: Any) -> Any:
        self._process.send((name, arguments))
        result = self._process.recv()
        if isinstance(result, Exception):
            raise result
        return result


@contextmanager
def running_cluster(*cpus: float) -> Iterator[Nodes]:
    """Start a head node, and a worker node for each number of CPUs."""
    context = multiprocessing.get_context("spawn")
    connection, remote_connection = context.Pipe()
    process = context.Process(target=_serve, args=(remote_connection, cpus))
    process.start()
    remote_connection.close()
    try:
        yield Nodes(connection)
    finally:
        connection.close()
        process.join()


def _serve(connection: Connection, cpus: Sequence[float]) -> None:
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        del os.environ[name]  # settings of the tests' own Ray
    os.environ.update(ENVIRONMENT)
    nodes = _LocalNodes(cpus)
    try:
        while True:
            name, arguments = connection.recv()
            try:
                result = getattr(nodes, name)(*arguments)
            except (TimeoutError, psutil.Error) as error:  # for the process of the tests; the cluster stays
                result = error
            connection.send(result)
    except EOFError:  # the tests have finished or died
        nodes.close()


class _LocalNodes:
    """The nodes in the process of the cluster: a head without resources, to which drivers attach, and workers."""

    def __init__(self, cpus: Sequence[float]) -> None:
        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": FAST_HEALTH_CHECKS}
        # Closed when the tests close their end of the pipe or die. Ray's own shutdown handler would send SIGTERM to the
        # whole process group, tests included.
        self.cluster = Cluster(initialize_head=True, head_node_args=head, shutdown_at_exit=False)
        self.workers: list[Any] = []
        for count in cpus:
            self.add(count)

    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, cpus: float) -> None:
        self.workers.append(self.cluster.add_node(num_cpus=cpus))

    def kill_raylet(self, index: int = 0) -> int:
        node = self.workers.pop(index % len(self.workers))
        raylet = node.all_processes["raylet"][0].process.pid
        os.kill(raylet, signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)  # its other processes
        return int(raylet)

    def settle(self) -> None:
        self.cluster.wait_for_nodes()

    def kill_actor(self, index: int = 0) -> int:
        processes = sorted(
            (process for worker in range(len(self.workers)) for process in self._processes(worker, "MapWorker")),
            key=lambda process: process.pid,
        )
        if not processes:
            return 0
        process = processes[index % len(processes)]
        process.kill()
        return int(process.pid)

    def node_of(self, process_name: str) -> int:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:  # the only such process may have been killed a moment ago
            for index in range(len(self.workers)):
                if self._processes(index, process_name):
                    return index
            time.sleep(0.05)
        raise TimeoutError(f"no worker node runs {process_name!r} after {WAIT_S:.0f} s")

    def close(self) -> None:
        self.cluster.shutdown()

    def _processes(self, index: int, process_name: str) -> list[psutil.Process]:
        raylet = psutil.Process(self.workers[index].all_processes["raylet"][0].process.pid)
        processes = []
        for process in raylet.children(recursive=True):
            try:
                if process_name in " ".join(process.cmdline()):
                    processes.append(process)
            except psutil.Error:
                continue
        return processes
