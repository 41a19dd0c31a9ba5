"""Every command that `cluster/` tells somebody to give, parsed by the real command lines."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.helpers.cluster_folder import CLUSTER, KUBERAY, fenced, of_kind, ray_clusters, shell_commands
from tests.helpers.command_lines import parsed, ray_start

README = (CLUSTER / "README.md").read_text()
SLURM = CLUSTER / "slurm" / "amia.sbatch"


def all_parsed(script: str) -> list[str]:
    return [name for command in shell_commands(script) for name in parsed(command)]


def test_the_readmes() -> None:
    told = [name for block in fenced(README, "bash") for name in all_parsed(block)]
    assert set(told) == {
        *("amia doctor", "amia ingest", "amia augment", "amia train", "amia evaluate", "amia status", "amia fetch"),
        *("ray job submit", "ray up", "ray dashboard", "ray down", "ray get-auth-token"),
    }
    assert told.count("ray job submit") == 4


def test_the_readmes_blocks_are_shell() -> None:
    for block in fenced(README, "bash"):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)


def test_what_kubernetes_runs() -> None:
    [ray_job], [cache] = of_kind("RayJob"), of_kind("Job")
    assert parsed(shlex.split(ray_job["spec"]["entrypoint"])) == ["amia augment"]
    [container] = cache["spec"]["template"]["spec"]["containers"]
    assert parsed(container["command"]) == ["amia fetch"]
    for spec in ray_clusters().values():
        ray_start(spec["headGroupSpec"]["rayStartParams"], head=True)
        for group in spec["workerGroupSpecs"]:
            ray_start(group["rayStartParams"], head=False)


def test_the_job_and_the_cache_speak_of_the_same_models() -> None:
    [ray_job], [cache] = of_kind("RayJob"), of_kind("Job")
    words = cache["spec"]["template"]["spec"]["containers"][0]["command"]
    config = words[words.index("--config") + 1]
    assert f"--config {config}" in ray_job["spec"]["entrypoint"]


def test_what_ray_up_runs() -> None:
    tree = yaml.safe_load((CLUSTER / "aws" / "ray-up.yaml").read_text())
    head = [name for line in tree["head_start_ray_commands"] for name in all_parsed(line)]
    worker = [name for line in tree["worker_start_ray_commands"] for name in all_parsed(line)]
    assert head == worker == ["ray stop", "ray start"]


def test_what_slurm_runs() -> None:
    text = SLURM.read_text()
    assert all_parsed(text) == ["ray start", "ray health-check", "ray start", "amia"]
    [usage] = re.findall(r"^#\s+(sbatch .*)$", text, re.MULTILINE)
    assert parsed(shlex.split(usage)) == ["amia augment"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("amia augment --run r --confg demo", "--confg"),
        ("amia augment --run r --config cluster/presets/9xh100.yaml", "no settings file"),
        ("python -m ray_jobs augment --run r pools.embed.gpu=1", "pools.embed.gpus"),
        ("amia fetch --model unt", "unt"),
        ("ray start --head --dashboard-hots=127.0.0.1", "--dashboard-hots"),
        ("ray job submit --adress x -- python -m ray_jobs status r", "--adress"),
        ("ray job submit -- python -m ray_jobs augmnt --run r", "augmnt"),
        ("srun --nodes=1 ray start --adress=x", "--adress"),
    ],
)
def test_the_check_sees_what_is_wrong(command: str, said: str) -> None:
    with pytest.raises(Exception, match=re.escape(said)):  # click's and typer's own kinds, and SettingsError
        parsed(shlex.split(command))


def test_the_readme_names_files_and_objects_that_are_there() -> None:
    named = set(re.findall(r"my-cluster/([\w-]+\.(?:yaml|json))", README))
    there = {file.name for file in [*KUBERAY.glob("*"), *(CLUSTER / "aws").glob("*")]}
    assert named <= there
    assert named >= {file.name for file in KUBERAY.glob("*.yaml")}
    jobs = {tree["metadata"]["name"] for kind in ("Job", "RayJob") for tree in of_kind(kind)}
    assert set(re.findall(r"job/([\w-]+)", README)) == jobs
    [cluster] = of_kind("RayCluster")
    assert set(re.findall(r" service/([\w-]+)", README)) == {f"{cluster['metadata']['name']}-head-svc"}
    for path in re.findall(r"`(\w[\w/-]*\.(?:yaml|sbatch|json))`", README):
        assert list(CLUSTER.rglob(path.rpartition("/")[2])), path


def test_a_persons_names_take_the_place_of_the_examples(tmp_path: Path) -> None:
    [block] = [each for each in fenced(README, "bash") if "for file in cluster/kuberay" in each]
    script = block.replace("export IMAGE=registry.example.com/amia:0.1.0", "export IMAGE=there/mine:0.1.0").replace(
        "STORAGE_CLASS=shared", "STORAGE_CLASS=efs"
    )
    script = f"RUN=s3://theirs/run\ncd {tmp_path}\nln -s {CLUSTER} cluster\n{script}\ncat my-cluster/*.yaml"
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True)
    for example in ("registry.example.com", "my-bucket", "storageClassName: shared"):
        assert example not in done.stdout
    assert done.stdout.count("there/mine:0.1.0") == 4  # workers' images are their head's
    assert "--run s3://theirs/run " in done.stdout
    assert "storageClassName: efs" in done.stdout


def test_the_bucket_policy_is_for_one_bucket() -> None:
    policy = json.loads((CLUSTER / "aws" / "bucket-policy.json").read_text())
    assert {each["Resource"] for each in policy["Statement"]} == {"arn:aws:s3:::my-bucket", "arn:aws:s3:::my-bucket/*"}
    assert not any("*" in action for each in policy["Statement"] for action in each["Action"])
