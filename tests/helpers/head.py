"""A local head of Ray, as `ray start --head` makes it on the first node of a cluster, and nobody else's stopped."""

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

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Head:
    """Where a head listens and keeps its files."""

    address: str
    dashboard: str
    folder: Path
    env: dict[str, str]

    def ray(self, *words: str, timeout: float = 200, **more: str) -> subprocess.CompletedProcess[str]:
        """A command of `ray`, started in the repository, with `more` in its environment."""
        return subprocess.run(
            [str(BIN / "ray"), *words],
            cwd=ROOT,
            env={**self.env, **more},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


@contextmanager
def started_head(cpus: int = 2, *, token: str | None = None) -> Iterator[Head]:
    """A head with a dashboard on ports of its own; only its own processes are ended afterwards.

    With a `token`, the head and what `Head.ray` starts have it from a file; without, nobody needs one.
    """
    folder = Path(tempfile.mkdtemp(prefix="head-", dir="/tmp"))  # sockets want a short path
    port, dashboard, agent, client = free_ports(4)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    env = {
        **clean,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "disabled",  # it listens on the loopback alone
        "RAY_TMPDIR": str(folder),
    }
    if token is not None:
        (folder / "token").write_text(token)
        env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(folder / "token")}
    head = Head(f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}", folder, env)
    try:
        done = head.ray(
            *("start", "--head", "--node-ip-address=127.0.0.1", f"--port={port}", f"--num-cpus={cpus}"),
            *("--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
            *(f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client}"),
            *(f"--temp-dir={folder}", "--disable-usage-stats"),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield head
    finally:
        end(folder)
        shutil.rmtree(folder, ignore_errors=True)


def end(folder: Path) -> None:
    """Kill the processes of one head: those that its folder is told to, and what they have started."""
    ours: set[psutil.Process] = set()
    for process in psutil.process_iter():
        try:
            if any(str(folder) in word for word in process.cmdline()):
                ours |= {process, *process.children(recursive=True)}
        except psutil.Error:
            continue
    for process in ours:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(ours, timeout=20)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
