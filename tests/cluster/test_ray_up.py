"""`aws/ray-up.yaml` is valid by the schema of Ray, and its access rules are strict. No cloud is accessed."""

import copy
import re
import socket
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.helpers.cluster_folder import CLUSTER, ROOT

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


def test_installs_this_repository_with_pinned_versions() -> None:
    install_commands = [line for line in TREE["setup_commands"] if "pip install" in line]
    assert all("--constraint" in line or re.search(r" \w+==[\d.]+", line) for line in install_commands)
    for local in TREE["file_mounts"].values():
        assert local.startswith("~") or (ROOT / local).exists()
    assert {"amia", "ray_jobs", "pyproject.toml", "constraints.txt"} <= {
        local.removeprefix("./") for local in TREE["file_mounts"].values()
    }
