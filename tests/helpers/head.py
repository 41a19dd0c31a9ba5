"""A local head node, started by `ray start --head` as on a cluster, without affecting other Rays on this machine."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.helpers.paths import ROOT
from tests.helpers.ray_settings import RAY_SETTINGS

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Head:
    """Addresses and files of a head node."""

    address: str
    dashboard: str
    folder: Path
    env: dict[str, str]

    def ray(self, *arguments: str, timeout: float = 200, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `ray` in the repository, with additional environment variables."""
        return subprocess.run(
            [str(BIN / "ray"), *arguments],
            cwd=ROOT,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


@contextmanager
def started_head(
    cpus: int = 2, *, token: str | None = None, autoscaling: str | None = None, **settings: str
) -> Iterator[Head]:
    """Start a head with a dashboard on free ports. Only its own processes are killed afterwards.

    With a `token`, the head requires it, and commands of `Head.ray` read it from a file. `autoscaling`: configuration
    of Ray's autoscaler, as YAML. `settings`: more environment variables.
    """
    folder = Path(tempfile.mkdtemp(prefix="head-", dir="/tmp"))  # paths of sockets must be short
    port, dashboard, agent, client = free_ports(4)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    env = {
        **clean,
        **RAY_SETTINGS,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "disabled",  # listens on the loopback interface only
        "RAY_TMPDIR": str(folder),
        **settings,
    }
    if token is not None:
        (folder / "token").write_text(token)
        env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(folder / "token")}
    scaler: list[str] = []
    if autoscaling is not None:
        (folder / "autoscaling.yaml").write_text(autoscaling.replace("ADDRESS", f"127.0.0.1:{port}"))
        scaler = [f"--autoscaling-config={folder / 'autoscaling.yaml'}"]
    head = Head(f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}", folder, env)
    try:
        result = head.ray(
            *("start", "--head", "--node-ip-address=127.0.0.1", f"--port={port}", f"--num-cpus={cpus}"),
            *("--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
            *(f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client}"),
            *(f"--temp-dir={folder}", "--disable-usage-stats", *scaler),
        )
        assert result.returncode == 0, result.stdout + result.stderr
        yield head
    finally:
        kill_processes(folder)
        shutil.rmtree(folder, ignore_errors=True)


def kill_processes(folder: Path) -> None:
    """Kill the processes of one head: those with its folder in their command line, and their children."""
    processes: set[psutil.Process] = set()
    for process in psutil.process_iter():
        try:
            if any(str(folder) in argument for argument in process.cmdline()):
                processes |= {process, *process.children(recursive=True)}
        except psutil.Error:
            continue
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=20)


def free_ports(count: int) -> list[int]:
    """Return ports that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports
