"""A cluster that starts without nodes and autoscales, as those of KubeRay and `ray up` do.

The autoscaler is Ray's. Its nodes are simulated by Ray's provider for tests: processes on this machine that declare a
GPU.
"""

import json
import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from ray._private.services import get_node_ip_address

from tests.helpers.drivers import finish, start
from tests.helpers.head import BIN, free_ports, kill_processes
from tests.helpers.paths import TWEETS

HEAD = "f" * 51 + "00000"
"""Id of the head for the provider."""


def autoscaling_config(address: str) -> dict[str, object]:
    """Return the configuration of a cluster with at most one node with a GPU, and none at the start."""
    return {
        "cluster_name": "simulated",
        "max_workers": 1,
        "idle_timeout_minutes": 5,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": address,
            "launch_multiple": True,
            "head_node_id": HEAD,
        },
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "gpu": {
                "resources": {"CPU": 2, "GPU": 1, "object_store_memory": 200_000_000},
                "node_config": {},
                "min_workers": 0,
                "max_workers": 1,
            },
        },
        "auth": {"ssh_user": "nobody"},
        "upscaling_speed": 1.0,
        **{name: {} for name in ("docker", "file_mounts")},
        **{name: [] for name in ("cluster_synced_files", "initialization_commands", "setup_commands")},
        **{f"{kind}_setup_commands": [] for kind in ("head", "worker")},
        **{f"{kind}_start_ray_commands": [] for kind in ("head", "worker")},
        "file_mounts_sync_continuously": False,
    }


@pytest.mark.slow
def test_job_starts_a_node_of_an_empty_cluster(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="head-", dir="/tmp"))  # paths of sockets must be short
    port, dashboard, agent, client = free_ports(4)
    address = f"{get_node_ip_address()}:{port}"
    (folder / "cluster.yaml").write_text(json.dumps(autoscaling_config(address)))
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    scaling = {
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": HEAD,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD,
    }
    words = ("start", "--head", f"--port={port}", "--num-cpus=0", f"--autoscaling-config={folder}/cluster.yaml")
    ports = (f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}")
    more = (f"--ray-client-server-port={client}", f"--temp-dir={folder}", "--disable-usage-stats")
    try:
        subprocess.run(
            [BIN / "ray", *words, *ports, *more], env={**clean, **token, **scaling}, capture_output=True, check=True
        )
        job = ("ingest", str(TWEETS), "--run", str(tmp_path / "run"), "--config", "demo", "max_failed=1")
        pools = ("pools.fetch.gpus=1", "pools.fetch.max=1", "wait_for_gpus_s=120")
        code, stdout, stderr = finish(start(*job, *pools, RAY_ADDRESS=address, **token))
    finally:
        kill_processes(folder)
        shutil.rmtree(folder, ignore_errors=True)
    assert code == 0, stderr
    assert "waiting for the cluster: 1 GPU needed, 0 available" in stdout
    assert "11 posts" in stdout
