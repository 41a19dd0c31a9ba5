"""`aws/ray-up.yaml` against the schema that ships in Ray, and what it lets nobody do. No cloud is asked."""

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
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.chdir(ROOT)  # file mounts are named from there


def test_ray_takes_it() -> None:
    prepared = prepare_config(copy.deepcopy(TREE))
    validate_config(prepared)
    assert prepared["available_node_types"]["gpu"]["min_workers"] == 0


def test_the_check_sees_what_is_misspelt() -> None:
    tree = copy.deepcopy(TREE)
    tree["head_start_ray_command"] = tree.pop("head_start_ray_commands")
    with pytest.raises(jsonschema.ValidationError, match="head_start_ray_command"):
        validate_config(prepare_config(tree))


def nodes() -> dict[str, dict[str, Any]]:
    return {name: each["node_config"] for name, each in TREE["available_node_types"].items()}


def test_the_head_runs_no_actor_and_gpu_nodes_are_spot_and_come_when_asked_for() -> None:
    types = TREE["available_node_types"]
    assert types["head"]["resources"] == {"CPU": 0}
    assert (types["gpu"]["min_workers"], types["gpu"]["max_workers"]) == (0, TREE["max_workers"])
    assert types["gpu"]["resources"]["GPU"] == 1
    assert nodes()["gpu"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert TREE["provider"]["cache_stopped_nodes"] is False


def test_disks_are_encrypted_and_metadata_wants_a_session() -> None:
    for node in nodes().values():
        assert all(
            disk["Ebs"]["Encrypted"] and disk["Ebs"]["DeleteOnTermination"] for disk in node["BlockDeviceMappings"]
        )
        assert node["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
        assert node["ImageId"].startswith("ami-")


def test_ssh_alone_is_open_and_to_one_address() -> None:
    [rule] = TREE["provider"]["security_group"]["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"], rule["IpProtocol"]) == (22, 22, "tcp")
    [source] = rule["IpRanges"]
    assert re.fullmatch(r"203\.0\.113\.\d+/32", source["CidrIp"]), "of the range that is for examples"


def test_the_token_is_on_every_node_and_wanted_by_every_ray_start() -> None:
    assert [remote for remote, local in TREE["file_mounts"].items() if local == "~/.ray/auth_token"] == [
        "/home/ubuntu/.ray/auth_token"
    ]
    assert "chmod 600 ~/.ray/auth_token" in TREE["setup_commands"]
    starts = [line for kind in ("head", "worker") for line in TREE[f"{kind}_start_ray_commands"] if "ray start" in line]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token " in line for line in starts)
    assert "--dashboard-host=127.0.0.1 " in starts[0]


def test_what_is_installed_is_pinned_and_is_this_repository() -> None:
    installing = [line for line in TREE["setup_commands"] if "pip install" in line]
    assert all("--constraint" in line or re.search(r" \w+==[\d.]+", line) for line in installing)
    for local in TREE["file_mounts"].values():
        assert local.startswith("~") or (ROOT / local).exists()
    assert {"amia", "ray_jobs", "pyproject.toml", "constraints.txt"} <= {
        local.removeprefix("./") for local in TREE["file_mounts"].values()
    }
