"""An experiment on an empty autoscaled cluster: it grows to the experiment's width, and back.

The nodes are those of Ray's own simulation of a cloud: real raylets on this machine, started by the real autoscaler.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.helpers.drivers import finish, start
from tests.helpers.head import Head, started_head

pytestmark = pytest.mark.slow

WIDTH = 3
CLOUD = f"""
cluster_name: simulated
max_workers: {WIDTH}
idle_timeout_minutes: 0.2
upscaling_speed: 100
provider:
  type: fake_multinode
  gcs_address: ADDRESS
  use_node_id_as_ip: true
  disable_node_updaters: true
  disable_launch_config_check: true
head_node_type: ray.head.default
available_node_types:
  ray.head.default: {{resources: {{CPU: 0}}, node_config: {{}}, max_workers: 0}}
  worker: {{resources: {{CPU: 1}}, node_config: {{}}, min_workers: 0, max_workers: {WIDTH}}}
auth: {{}}
file_mounts: {{}}
cluster_synced_files: []
file_mounts_sync_continuously: false
rsync_exclude: []
rsync_filter: []
initialization_commands: []
setup_commands: []
head_setup_commands: []
worker_setup_commands: []
head_start_ray_commands: []
worker_start_ray_commands: []
"""


@pytest.fixture
def head() -> Iterator[Head]:
    with started_head(0, autoscaling=CLOUD, RAY_FAKE_CLUSTER="1") as started:
        yield started


def count_workers(head: Head) -> int:
    """Return the number of running nodes besides the head, as Ray's autoscaler sees them."""
    status = head.ray("status", "--address", head.address).stdout
    return sum(int(count) for count in re.findall(r"^ (\d+) worker$", status.partition("Pending:")[0], re.MULTILINE))


@pytest.mark.timeout(600)
def test_experiment_grows_the_cluster(
    head: Head, augmented: Path, copied: Callable[..., Path], small_words: Sequence[str]
) -> None:
    run = copied(augmented)
    grid = ("tables=[table1]", "recognizers=[]", "text_systems=[bilstm-crf]", "seeds=[0,1,2]", "accept_mixture=true")
    quick = ("training.epochs=30", "training.patience=30", "workers.cpus=1", "resamples=200", "wait_for_gpus_s=300")
    env = {name: value for name, value in head.env.items() if name.startswith("RAY_")}
    driver = start(
        *("experiment", "--config", "demo", "--run", f"demo={run}", *small_words, *grid, *quick),
        **{**env, "RAY_ADDRESS": head.address},
    )
    widest = 0
    while driver.poll() is None:
        widest = max(widest, count_workers(head))
        time.sleep(0.5)
    code, stdout, stderr = finish(driver)
    assert (code, stderr) == (0, ""), stdout
    assert widest == WIDTH
    assert len(list((run / "cells").glob("*.json"))) == WIDTH
    deadline = time.monotonic() + 120
    while count_workers(head):
        assert time.monotonic() < deadline, "the cluster did not shrink"
        time.sleep(1)
