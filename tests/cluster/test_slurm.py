"""`amia.sbatch`, run for real where there is no Slurm: `srun` and `scontrol` are stand-ins that run things here."""

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


def test_it_is_shell() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    if shellcheck := shutil.which("shellcheck"):
        subprocess.run([shellcheck, SCRIPT], check=True)


def test_it_may_be_requeued_and_appends_to_its_log() -> None:
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=?(\S*)$", SCRIPT.read_text(), re.MULTILINE))
    assert "requeue" in asked
    assert asked["open-mode"] == "append"
    assert asked["ntasks-per-node"] == "1"


def job(
    folder: Path, *words: str, nodes: int, number: int, attempt: int, venv: Path = Path(sys.prefix)
) -> subprocess.CompletedProcess[str]:
    """The script as Slurm starts it, with nothing in its environment but Slurm's own."""
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
@pytest.mark.timeout(480)  # two clusters, one after the other
def test_a_head_and_a_worker_run_a_job_and_leave_nothing_simulated_slurm(tmp_path: Path) -> None:
    number = os.getpid()
    words = ("ingest", str(FIXTURE), "--run", str(tmp_path / "run"), "--config", "demo", "pools.fetch.max=2")
    failed = job(tmp_path, *words, "max_failed=0", nodes=2, number=number, attempt=0)
    assert failed.returncode == 9, failed.stderr  # the command's own code: three posts of eleven are broken
    done = job(tmp_path, *words, "max_failed=1", nodes=2, number=number, attempt=1)
    assert done.returncode == 0, done.stderr
    assert "11 posts" in done.stdout
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
        left = [each for each in psutil.process_iter(["cmdline"]) if scratch in str(each.info["cmdline"])]
        assert psutil.wait_procs(left, timeout=20)[1] == [], "what was told to end may take a moment"
    tokens = re.findall(r"\b[0-9a-f]{64}\b", done.stdout + done.stderr + "\n".join(steps))
    assert tokens == [], "the token is in no log and on no command line"


def test_a_head_that_does_not_start_ends_the_job_simulated_slurm(tmp_path: Path) -> None:
    venv = tmp_path / "venv" / "bin"
    venv.mkdir(parents=True)
    (venv / "ray").write_text("#!/usr/bin/env bash\nexit 1\n")
    (venv / "ray").chmod(0o755)
    (venv / "python").symlink_to(sys.executable)
    done = job(tmp_path, "status", "nowhere", nodes=1, number=os.getpid(), attempt=2, venv=venv.parent)
    assert done.returncode == 1
    assert done.stderr.strip() == "the head did not start on one"
