"""`amia.sbatch` runs without Slurm: `srun` and `scontrol` are replaced by scripts that run commands locally."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ray_jobs.runtime.signals import GRACE_S
from tests.helpers.cluster_folder import CLUSTER, ROOT

SCRIPT = CLUSTER / "slurm" / "amia.sbatch"
FIXTURE = ROOT / "tests" / "fixtures" / "tweets"

SRUN = """#!/usr/bin/env bash
while [[ ${1:-} == --* ]]; do shift; done
echo "$*" >> "$SIMULATED"
exec "$@"
"""
SCONTROL = """#!/usr/bin/env bash
[[ $1 == requeue ]] && echo "$*" >> "$SIMULATED" || printf 'one\\ntwo\\n'
"""
GETENT = """#!/usr/bin/env bash
[[ $2 == two ]] && printf '10.1.0.2 STREAM two\\n10.1.0.2 DGRAM\\n'
"""
IP = """#!/usr/bin/env bash
address=${ADDRESS:-$(hostname --all-ip-addresses | awk '{print $1}')}
case "$*" in
    *"route get 10.1.0.2") echo "10.1.0.2 dev eth1 src $address uid 0 \\\\    cache";;
    *"address show dev ib0") echo "3: ib0    inet $address/16 brd 10.1.255.255 scope global ib0";;
    *) exit 1;;
esac
"""
SIMULATED = {"srun": SRUN, "scontrol": SCONTROL, "getent": GETENT, "ip": IP}


def test_valid_shell() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    if shellcheck := shutil.which("shellcheck"):
        subprocess.run([shellcheck, SCRIPT], check=True)


def test_can_be_requeued_and_appends_to_its_log() -> None:
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=?(\S*)$", SCRIPT.read_text(), re.MULTILINE))
    assert "requeue" in options
    assert options["open-mode"] == "append"
    assert options["ntasks-per-node"] == "1"
    name, signal_name, seconds = re.split("[:@]", options["signal"])
    assert (name, signal_name) == ("B", "USR1"), "only the script gets the signal, not the steps with Ray's nodes"
    assert int(seconds) > GRACE_S + 30


def write_script(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


def slurm_environment(folder: Path, *, nodes: int, number: int, attempt: int, venv: Path) -> dict[str, str]:
    """Write the replacements of Slurm's commands, and return the environment that Slurm gives to a job."""
    for name, text in SIMULATED.items():
        write_script(folder / name, text)
    return {
        "PATH": f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "HOME": str(folder),
        "SIMULATED": str(folder / "steps"),
        "AMIA_VENV": str(venv),
        "PYTHONPATH": str(ROOT),
        "SLURM_JOB_ID": str(number),
        "SLURM_JOB_NODELIST": "one,two",
        "SLURM_JOB_NUM_NODES": str(nodes),
        "SLURM_CPUS_PER_TASK": "1",
        "SLURM_RESTART_COUNT": str(attempt),
    }


def run_job(
    folder: Path, *words: str, nodes: int, number: int, attempt: int, venv: Path = Path(sys.prefix), **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the script as Slurm does, with only Slurm's variables and `more` in its environment."""
    env = slurm_environment(folder, nodes=nodes, number=number, attempt=attempt, venv=venv) | more
    return subprocess.run(
        ["bash", SCRIPT, *words], cwd=ROOT, env=env, capture_output=True, text=True, timeout=200, check=False
    )


@pytest.mark.slow
@pytest.mark.simulated("slurm")
@pytest.mark.timeout(480)  # two clusters in sequence
def test_job_on_head_and_worker_leaves_nothing_behind(tmp_path: Path) -> None:
    number = os.getpid()
    words = ("ingest", str(FIXTURE), "--run", str(tmp_path / "run"), "--config", "demo", "pools.fetch.max=2")
    failed = run_job(tmp_path, *words, "max_failed=0", nodes=2, number=number, attempt=0)
    assert failed.returncode == 9, failed.stderr  # exit code of the command: three of eleven posts are broken
    process = run_job(tmp_path, *words, "max_failed=1", nodes=2, number=number, attempt=1)
    assert process.returncode == 0, process.stderr
    assert "11 posts" in process.stdout
    steps = (tmp_path / "steps").read_text().splitlines()
    assert [" ".join(step.split()[:3]) for step in steps] == [
        "ray start --head",
        "ray start --block",
        f"rm -rf /tmp/amia-{number}-0",
        "ray start --head",
        "ray start --block",
        f"rm -rf /tmp/amia-{number}-1",
    ]
    for scratch in (step.removeprefix("rm -rf ") for step in steps if step.startswith("rm -rf ")):
        assert not Path(scratch).exists()
        remaining = [
            process_info
            for process_info in psutil.process_iter(["cmdline"])
            if scratch in str(process_info.info["cmdline"])
        ]
        assert psutil.wait_procs(remaining, timeout=20)[1] == [], "a process did not end"
    tokens = re.findall(r"\b[0-9a-f]{64}\b", process.stdout + process.stderr + "\n".join(steps))
    assert tokens == [], "the token is in the log or on a command line"


@pytest.mark.simulated("slurm")
def test_job_ends_if_the_head_does_not_start(tmp_path: Path) -> None:
    venv = simulated_venv(tmp_path, ray="exit 1", command="exit 0")
    process = run_job(tmp_path, "status", "nowhere", nodes=1, number=os.getpid(), attempt=2, venv=venv)
    assert process.returncode == 1
    assert process.stderr.strip() == "the head did not start on one"


def simulated_venv(folder: Path, *, ray: str, command: str) -> Path:
    """Return an environment whose `ray` and `python -m ray_jobs` are scripts."""
    write_script(folder / "venv" / "bin" / "ray", f"#!/usr/bin/env bash\n{ray}\n")
    run = f'[[ $1 == -c ]] && exec {sys.executable} "$@"\n{command}\n'
    write_script(folder / "venv" / "bin" / "python", f"#!/usr/bin/env bash\n{run}")
    return folder / "venv"


RAY = "[[ $1 == start ]] || exit 0\nexec sleep 60"
"""A `ray` whose head and workers run and are healthy."""


@pytest.mark.simulated("slurm")
@pytest.mark.parametrize("interface", ["", "ib0"])
def test_head_listens_on_the_network_between_the_nodes(tmp_path: Path, interface: str) -> None:
    venv = simulated_venv(tmp_path, ray=RAY, command="sleep 1")
    more = {"ADDRESS": "10.1.0.1", "AMIA_INTERFACE": interface}
    process = run_job(tmp_path, "status", "nowhere", nodes=2, number=os.getpid(), attempt=3, venv=venv, **more)
    assert process.returncode == 0, process.stderr
    starts = [line for line in (tmp_path / "steps").read_text().splitlines() if line.startswith("ray start")]
    [head] = [line for line in starts if " --head " in line]
    [worker] = [line for line in starts if line != head]
    assert "--node-ip-address=10.1.0.1 " in head
    assert "--address=10.1.0.1:" in worker


@pytest.mark.simulated("slurm")
def test_job_ends_without_an_address(tmp_path: Path) -> None:
    venv = simulated_venv(tmp_path, ray=RAY, command="exit 0")
    process = run_job(tmp_path, "status", "x", nodes=2, number=os.getpid(), attempt=4, venv=venv, AMIA_INTERFACE="ib7")
    assert process.returncode == 1
    assert "one has no address towards two: set AMIA_INTERFACE" in process.stderr


@pytest.mark.simulated("slurm")
@pytest.mark.parametrize(("code", "is_requeued"), [(143, True), (0, False), (8, False)])
def test_job_is_requeued_at_the_time_limit(tmp_path: Path, code: int, is_requeued: bool) -> None:
    command = f"trap 'sleep 0.2; exit {code}' TERM\ntouch {tmp_path}/started\nwhile true; do sleep 0.1; done"
    venv = simulated_venv(tmp_path, ray=RAY, command=command)
    env = slurm_environment(tmp_path, nodes=1, number=os.getpid(), attempt=5, venv=venv) | {"ADDRESS": "10.1.0.1"}
    process = subprocess.Popen(
        ["bash", SCRIPT, "augment"], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == code, stderr
    steps = (tmp_path / "steps").read_text().splitlines()
    scratch = f"rm -rf /tmp/amia-{os.getpid()}-5"
    assert steps[1:] == ([scratch, f"requeue {os.getpid()}"] if is_requeued else [scratch])
