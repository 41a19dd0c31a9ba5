"""A node of three on which every shard fails, as with a broken GPU: the job leaves it out and ends on the others."""

import json
from pathlib import Path

import pytest

from ray_jobs.storage.store import Store
from tests.helpers.drivers import finish, read_files, start_python
from tests.helpers.nodes import running_cluster
from tests.helpers.paths import ROOT
from tests.helpers.toy import Blend, Toy, instruct, toy_plan

SHARDS = 16


@pytest.mark.slow  # a cluster of its own: the node must not serve other tests
@pytest.mark.promise(1)
def test_node_that_always_fails_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "run" / "instructions").mkdir(parents=True)
    store, undisturbed = Store(tmp_path / "run"), Store(tmp_path / "undisturbed")
    for stage in (Toy(undisturbed), Blend(undisturbed)):
        for shard in toy_plan(SHARDS).shards:
            stage.publish(shard, shard)
    instruct(store, "bad_node", Toy)
    with running_cluster(1, 1, 1) as nodes:
        job = str(ROOT / "tests" / "helpers" / "toy_job.py")
        # Three actors of each stage take every core: one that restarts finds room on the same node only.
        words = ("--shards", str(SHARDS), "--actors", "3", "--at-once", "--lease", "1")
        code, stdout, stderr = finish(start_python(job, "toy", store.address, *words, **nodes.env()))
    assert (code, stderr) == (0, ""), stdout
    assert read_files(store.folder, "drawn", "blended") == read_files(undisturbed.folder, "drawn", "blended")
    [file] = (store.folder / "log").glob("*-faults.json")
    faults = [fault for fault in json.loads(file.read_text()) if fault["traceback"]]
    assert {fault["cause"] for fault in faults} == {"RuntimeError: CUDA error: device lost"}
    [node] = {fault["node"] for fault in faults}
    assert len(faults) >= 2
    assert f"node {node} fails at every shard and is left out" in " ".join(stdout.split())
