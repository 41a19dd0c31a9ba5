"""All commands in `cluster/`, parsed by the real command lines."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.helpers.cluster_folder import CLUSTER, KUBERAY, code_blocks, objects_of_kind, ray_clusters, shell_commands
from tests.helpers.command_lines import check_command, check_ray_start

README = (CLUSTER / "README.md").read_text()
SLURM = CLUSTER / "slurm" / "amia.sbatch"


def check_script(script: str) -> list[str]:
    return [name for command in shell_commands(script) for name in check_command(command)]


def test_readme_commands() -> None:
    commands = [name for block in code_blocks(README, "bash") for name in check_script(block)]
    assert set(commands) == {
        *("amia doctor", "amia ingest", "amia augment", "amia train", "amia evaluate", "amia status", "amia fetch"),
        "amia submit",
        *("ray job submit", "ray up", "ray dashboard", "ray down", "ray get-auth-token"),
    }
    assert (commands.count("amia submit"), commands.count("ray job submit")) == (4, 2)


def test_readme_blocks_are_valid_shell() -> None:
    for block in code_blocks(README, "bash"):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)


def test_kubernetes_commands() -> None:
    [ray_job], [cache] = objects_of_kind("RayJob"), objects_of_kind("Job")
    assert check_command(shlex.split(ray_job["spec"]["entrypoint"])) == ["amia augment"]
    [container] = cache["spec"]["template"]["spec"]["containers"]
    assert check_command(container["command"]) == ["amia fetch"]
    for spec in ray_clusters().values():
        check_ray_start(spec["headGroupSpec"]["rayStartParams"], head=True)
        for group in spec["workerGroupSpecs"]:
            check_ray_start(group["rayStartParams"], head=False)


def test_job_and_model_cache_use_the_same_config() -> None:
    [ray_job], [cache] = objects_of_kind("RayJob"), objects_of_kind("Job")
    words = cache["spec"]["template"]["spec"]["containers"][0]["command"]
    config = words[words.index("--config") + 1]
    assert f"--config {config}" in ray_job["spec"]["entrypoint"]


def test_ray_up_commands() -> None:
    tree = yaml.safe_load((CLUSTER / "aws" / "ray-up.yaml").read_text())
    head = [name for line in tree["head_start_ray_commands"] for name in check_script(line)]
    worker = [name for line in tree["worker_start_ray_commands"] for name in check_script(line)]
    assert head == worker == ["ray stop", "ray start"]


def test_slurm_commands() -> None:
    text = SLURM.read_text()
    assert check_script(text) == ["ray start", "ray health-check", "ray start", "amia"]
    [usage] = re.findall(r"^#\s+(sbatch .*)$", text, re.MULTILINE)
    assert check_command(shlex.split(usage)) == ["amia augment"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("amia augment --run r --confg demo", "--confg"),
        ("amia augment --run r --config cluster/presets/9xh100.yaml", "no settings file"),
        ("python -m ray_jobs augment --run r pools.embed.gpu=1", "pools.embed.gpus"),
        ("amia fetch --model unt", "unt"),
        ("ray start --head --dashboard-hots=127.0.0.1", "--dashboard-hots"),
        ("ray job submit --adress x -- python -m ray_jobs status r", "--adress"),
        ("ray job submit -- python -m ray_jobs augmnt --run r", "augmnt"),
        ("amia submit --adress x -- status s3://b/r", "--adress"),
        ("amia submit -- augmnt --run s3://b/r", "augmnt"),
        ("srun --nodes=1 ray start --adress=x", "--adress"),
    ],
)
def test_detects_wrong_commands(command: str, message: str) -> None:
    with pytest.raises(Exception, match=re.escape(message)):  # errors of click and typer, and SettingsError
        check_command(shlex.split(command))


def test_readme_names_existing_files_and_objects() -> None:
    named = set(re.findall(r"my-cluster/([\w-]+\.(?:yaml|json))", README))
    existing = {file.name for file in [*KUBERAY.glob("*"), *(CLUSTER / "aws").glob("*")]}
    assert named <= existing
    assert named >= {file.name for file in KUBERAY.glob("*.yaml")}
    jobs = {tree["metadata"]["name"] for kind in ("Job", "RayJob") for tree in objects_of_kind(kind)}
    assert set(re.findall(r"job/([\w-]+)", README)) == jobs
    [cluster] = objects_of_kind("RayCluster")
    assert set(re.findall(r" service/([\w-]+)", README)) == {f"{cluster['metadata']['name']}-head-svc"}
    for path in re.findall(r"`(\w[\w/-]*\.(?:yaml|sbatch|json))`", README):
        assert list(CLUSTER.rglob(path.rpartition("/")[2])), path


def test_examples_are_replaced_by_user_names(tmp_path: Path) -> None:
    [block] = [block for block in code_blocks(README, "bash") if "for file in cluster/kuberay" in block]
    script = block.replace("STORAGE_CLASS=shared", "STORAGE_CLASS=efs").replace("product: NVIDIA-A10G'", "product: L4'")
    names = "RUN=s3://theirs/run\nIMAGE=theirs/image@sha256:0a1b"
    script = f"{names}\ncd {tmp_path}\nln -s {CLUSTER} cluster\n{script}\ncat my-cluster/*.yaml"
    process = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True)
    for example in ("registry.example.com", "my-bucket", "storageClassName: shared", "NVIDIA-A10G"):
        assert example not in process.stdout
    assert process.stdout.count("theirs/image@sha256:0a1b") == 4  # workers use the image of their head
    assert "--run s3://theirs/run " in process.stdout
    assert "storageClassName: efs" in process.stdout


def test_bucket_policy_covers_one_bucket() -> None:
    policy = json.loads((CLUSTER / "aws" / "bucket-policy.json").read_text())
    assert {statement["Resource"] for statement in policy["Statement"]} == {
        "arn:aws:s3:::my-bucket",
        "arn:aws:s3:::my-bucket/*",
    }
    assert not any("*" in action for statement in policy["Statement"] for action in statement["Action"])
