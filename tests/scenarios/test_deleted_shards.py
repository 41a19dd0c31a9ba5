"""Deleted shards are recomputed byte for byte and no others; a process that publishes too late changes nothing."""

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ray_jobs.jobs.augment import augment
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.runtime.executor import AnyStage, StageSpec, run_stages
from ray_jobs.settings.job import Pool, Settings
from ray_jobs.stages.embed import Embed
from ray_jobs.stages.mix import Mix
from ray_jobs.stages.score import Score
from ray_jobs.stages.synthesize import Synthesize
from ray_jobs.storage.arm import open_arm
from ray_jobs.storage.shards import encode, read_shard
from ray_jobs.storage.store import Store
from tests.helpers.drivers import assert_equal_files, file_stamps, finish, start_python
from tests.helpers.paths import ROOT
from tests.helpers.toy import Blend, Toy, toy_plan, wait_for_file

STAGES = ("embeddings", "scores", "synthesized", "augmented/adaptive", "augmented/original")
ARMS = ("adaptive", "original")


def logged_shards(run: Path) -> Counter[tuple[str, str]]:
    """Count the lines of the log by stage and shard."""
    lines = [json.loads(line) for file in (run / "log").glob("*.jsonl") for line in file.read_text().splitlines()]
    return Counter((line["stage"], line["shard"]) for line in lines)


def delete_shards(run: Path) -> set[tuple[str, str]]:
    """Delete 15 of the 50 published shards. Returns their stages and names.

    A shard of mix is one file per arm: both are computed if one is missing, and the existing file stays.
    """
    published = sorted(path for stage in STAGES for path in (run / stage).glob("*.parquet"))
    assert len(published) == 50
    deleted = random.Random(11).sample(published, 15)
    for path in deleted:
        path.unlink()
    return {(path.relative_to(run).parts[0], path.name.removesuffix(".parquet")) for path in deleted}


@pytest.mark.promise(5, 27)
@pytest.mark.usefixtures("in_this_process")
def test_only_deleted_shards_are_recomputed(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, computed = copied(augmented), Counter[tuple[str, str]]()

    def count(stage: type[AnyStage]) -> None:
        load = stage.load

        def counted_load(self: AnyStage, shard: str) -> Any:
            computed[self.name, shard] += 1
            return load(self, shard)

        monkeypatch.setattr(stage, "load", counted_load)

    for stage in (Embed, Score, Synthesize, Mix):
        count(stage)
    deleted, stamps_before = delete_shards(run), file_stamps(run)
    augment(str(run), small(), arms=ARMS, accept_mixture=True, quiet=True)
    assert computed == Counter(dict.fromkeys(deleted, 1))
    assert_equal_files(run, augmented)
    stamps_after = file_stamps(run)
    assert {key: stamps_after[key] for key in stamps_before} == stamps_before


@pytest.mark.promise(5, 27)
@pytest.mark.slow  # `test_executor.py` tests with a stage without a model that actors skip published shards
def test_only_deleted_shards_are_recomputed_on_actors(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings]
) -> None:
    run = copied(augmented, leaving_out=["log"])
    deleted = delete_shards(run)
    augment(str(run), small(), arms=ARMS, accept_mixture=True, quiet=True)
    assert logged_shards(run) == Counter(dict.fromkeys(deleted, 1))
    assert_equal_files(run, augmented)


@pytest.mark.promise(3)
def test_late_publication_changes_nothing(augmented: Path, copied: Callable[..., Path]) -> None:
    """The late process has other bytes than the published ones, as a process on another machine might have."""
    run = copied(augmented)
    store, arm = Store(run), open_arm(Store(run), "adaptive")
    before = file_stamps(run)
    for stage in STAGES:
        key = f"{stage}/{arm.manifest['files'][0]['name']}"
        late_data, _ = encode(read_shard(store, key).slice(0, 1), stage=stage, identity="of another attempt")
        assert not store.create(key, late_data)
    store.create("augmented/adaptive/train-00000-of-00099.parquet", late_data)  # a shard of another plan
    reopened = open_arm(store, "adaptive")
    assert [example.id for example in reopened.examples(reopened.keys("train"))] == [
        example.id for example in arm.examples(arm.keys("train"))
    ], "readers must follow the manifest"
    assert {key: file_stamps(run)[key] for key in before} == before


LATE_PROCESS = """
import sys
from pathlib import Path
from ray_jobs.storage.store import Store
from tests.helpers.toy import Toy, wait_for_file
stage, shard = Toy(Store(sys.argv[1])), sys.argv[2]
done = stage.run(stage.load(shard))
(stage.instructions / "started").touch()
wait_for_file(stage.instructions / "finished", "the other process")
stage.publish(shard, done)
"""


@pytest.mark.promise(3)
def test_process_that_was_given_up_publishes_in_vain(cluster: None, tmp_path: Path) -> None:
    run, plan, pool = tmp_path / "run", toy_plan(7), Pool(cpus=0.5)
    (run / "instructions").mkdir(parents=True)
    late_process = start_python("-c", LATE_PROCESS, str(run), plan.shards[3], PYTHONPATH=str(ROOT))
    wait_for_file(run / "instructions" / "started", "the work of the late process")
    store = Store(run)
    specs = [StageSpec(stage, pool) for stage in (Toy(store), Blend(store))]
    run_stages(
        store, Cluster(is_local=False, autoscales=False), plan, specs, plan.shards, wait_s=30, quiet=True, stall_s=600
    )
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in run.rglob("*.parquet")}
    assert len(before) == 14
    (run / "instructions" / "finished").touch()
    assert finish(late_process) == (0, "", "")
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in run.rglob("*.parquet")} == before
    assert set(logged_shards(run).values()) == {1}
