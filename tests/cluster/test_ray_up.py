"""`aws/ray-up.yaml` is valid by the schema of Ray, and its access rules are strict. No cloud is accessed."""

import copy
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.helpers.cluster_folder import CLUSTER, ROOT, code_blocks

README = (CLUSTER / "README.md").read_text()
FILE = CLUSTER / "aws" / "ray-up.yaml"
TREE = yaml.safe_load(FILE.read_text())


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("the network was accessed")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.chdir(ROOT)  # file mounts are relative to it


def test_valid_for_ray() -> None:
    prepared = prepare_config(copy.deepcopy(TREE))
    validate_config(prepared)
    assert prepared["available_node_types"]["gpu"]["min_workers"] == 0


def test_detects_misspelled_fields() -> None:
    tree = copy.deepcopy(TREE)
    tree["head_start_ray_command"] = tree.pop("head_start_ray_commands")
    with pytest.raises(jsonschema.ValidationError, match="head_start_ray_command"):
        validate_config(prepare_config(tree))


def nodes() -> dict[str, dict[str, Any]]:
    return {name: node_type["node_config"] for name, node_type in TREE["available_node_types"].items()}


def test_head_without_actors_and_spot_gpu_nodes() -> None:
    types = TREE["available_node_types"]
    assert types["head"]["resources"] == {"CPU": 0}
    assert (types["gpu"]["min_workers"], types["gpu"]["max_workers"]) == (0, TREE["max_workers"])
    assert types["gpu"]["resources"]["GPU"] == 1
    assert nodes()["gpu"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert TREE["provider"]["cache_stopped_nodes"] is False


def test_encrypted_disks_and_imdsv2() -> None:
    for node in nodes().values():
        assert all(
            disk["Ebs"]["Encrypted"] and disk["Ebs"]["DeleteOnTermination"] for disk in node["BlockDeviceMappings"]
        )
        assert node["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
        assert node["ImageId"].startswith("ami-")


def test_only_ssh_from_one_address_is_open() -> None:
    [rule] = TREE["provider"]["security_group"]["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"], rule["IpProtocol"]) == (22, 22, "tcp")
    [source] = rule["IpRanges"]
    assert re.fullmatch(r"203\.0\.113\.\d+/32", source["CidrIp"]), "an address reserved for documentation"


def test_every_node_requires_the_token() -> None:
    assert [remote for remote, local in TREE["file_mounts"].items() if local == "~/.ray/auth_token"] == [
        "/home/ubuntu/.ray/auth_token"
    ]
    assert "chmod 600 ~/.ray/auth_token" in TREE["setup_commands"]
    starts = [line for kind in ("head", "worker") for line in TREE[f"{kind}_start_ray_commands"] if "ray start" in line]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token " in line for line in starts)
    assert "--dashboard-host=127.0.0.1 " in starts[0]


def test_nodes_install_this_repository_alone() -> None:
    assert [line.split()[0] for line in TREE["setup_commands"]] == ["chmod", "~/uv/bin/uv"]
    install = TREE["setup_commands"][1].split()
    assert install[-2:] == ["--no-deps", "~/amia"]
    for local in TREE["file_mounts"].values():
        assert local.startswith("~") or (ROOT / local).exists()
    assert {"amia", "ray_jobs", "pyproject.toml", "constraints.txt"} <= {
        local.removeprefix("./") for local in TREE["file_mounts"].values()
    }


def test_all_nodes_use_the_image() -> None:
    assert {node["ImageId"] for node in nodes().values()} == {"ami-00000000000000000"}


def test_image_has_the_pinned_packages_and_the_paths_of_the_nodes(tmp_path: Path) -> None:
    [block] = [block for block in code_blocks(README, "bash") if "aws/install.sh" in block]
    [fill] = [line for line in block.splitlines() if "constraints.txt" in line and line.startswith("sed")]
    (tmp_path / "my-cluster").mkdir()
    (tmp_path / "cluster").symlink_to(CLUSTER)
    (tmp_path / "constraints.txt").symlink_to(ROOT / "constraints.txt")
    subprocess.run(["bash", "-euc", fill], cwd=tmp_path, check=True)
    script = (tmp_path / "my-cluster" / "install.sh").read_text()
    [packages] = re.findall(r"constraints.txt <<'END'\n(.*?)^END$", script, re.MULTILINE | re.DOTALL)
    assert (ROOT / "constraints.txt").read_text() in packages
    assert re.search(r"^torch==\d", packages, re.MULTILINE)
    assert re.search(r"^boto3==\d", packages, re.MULTILINE), "Ray's node provider needs it"
    assert len(script.encode()) < 16_384, "the limit of user data"
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    for path in ("~/uv/bin/uv", "~/venv/bin/python"):
        assert path in script
        assert path in TREE["setup_commands"][1]
    for line in script.splitlines():
        assert "pip install" not in line or "--requirement" in line or re.search(r" \w+==[\d.]+$", line)
