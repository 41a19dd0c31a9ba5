"""`amia.sbatch` runs without Slurm: `srun` and `scontrol` are replaced by scripts that run commands locally."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.helpers.cluster_folder import CLUSTER, ROOT

SCRIPT = CLUSTER / "slurm" / "amia.sbatch"
FIXTURE = ROOT / "tests" / "fixtures" / "tweets"

SRUN = """#!/usr/bin/env bash
while [[ ${1:-} == --* ]]; do shift; done
echo "$*" >> "$SIMULATED"
exec "$@"
"""
SCONTROL = """#!/usr/bin/env bash
printf 'one\\ntwo\\n'
"""


def test_valid_shell() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    if shellcheck := shutil.which("shellcheck"):
        subprocess.run([shellcheck, SCRIPT], check=True)


def test_can_be_requeued_and_appends_to_its_log() -> None:
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=?(\S*)$", SCRIPT.read_text(), re.MULTILINE))
    assert "requeue" in options
    assert options["open-mode"] == "append"
    assert options["ntasks-per-node"] == "1"


def run_job(
    folder: Path, *words: str, nodes: int, number: int, attempt: int, venv: Path = Path(sys.prefix)
) -> subprocess.CompletedProcess[str]:
    """Run the script as Slurm does, with only Slurm's variables in its environment."""
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    env = {
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
        "hostname --all-ip-addresses",
        "ray start --head",
        "ray start --block",
        f"rm -rf /tmp/amia-{number}-0",
        "hostname --all-ip-addresses",
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
    venv = tmp_path / "venv" / "bin"
    venv.mkdir(parents=True)
    (venv / "ray").write_text("#!/usr/bin/env bash\nexit 1\n")
    (venv / "ray").chmod(0o755)
    (venv / "python").symlink_to(sys.executable)
    process = run_job(tmp_path, "status", "nowhere", nodes=1, number=os.getpid(), attempt=2, venv=venv.parent)
    assert process.returncode == 1
    assert process.stderr.strip() == "the head did not start on one"
