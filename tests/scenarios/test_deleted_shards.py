"""Published shards that were deleted: exactly those are made again, to the byte; and a zombie that comes too late."""

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from ray_jobs.jobs.augment import augment
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.runtime.executor import StageSpec, run_stages
from ray_jobs.settings.job import Pool, Settings
from ray_jobs.storage.arm import open_arm
from ray_jobs.storage.shards import encode, read_shard
from ray_jobs.storage.store import Store
from tests.helpers.drivers import finish, same, stamps, start_python
from tests.helpers.paths import ROOT
from tests.helpers.toy import Blend, Toy, plan_of, until

STAGES = ("embeddings", "scores", "synthesized", "augmented/adaptive", "augmented/original")


def made(run: Path) -> Counter[tuple[str, str]]:
    """(stage, shard) of every line of the log."""
    lines = [json.loads(line) for file in (run / "log").glob("*.jsonl") for line in file.read_text().splitlines()]
    return Counter((line["stage"], line["shard"]) for line in lines)


@pytest.mark.promise(5, 27)
def test_a_drawn_share_of_deleted_shards_is_made_again_and_nothing_else(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings]
) -> None:
    run = copied(augmented, leaving_out=["log"])
    draw = random.Random(11)
    published = sorted(path for stage in STAGES for path in (run / stage).glob("*.parquet"))
    assert len(published) == 50
    deleted = draw.sample(published, 15)
    for path in deleted:
        path.unlink()
    kept = stamps(run)
    augment(str(run), small(), arms=("adaptive", "original"), accept_mixture=True, quiet=True)
    # A shard of mix is one file an arm: both are made where one is missing, and the one that stands stays.
    wanted = {(path.relative_to(run).parts[0], path.name.removesuffix(".parquet")) for path in deleted}
    assert made(run) == Counter(dict.fromkeys(wanted, 1))
    same(run, augmented)
    after = stamps(run)
    assert {key: after[key] for key in kept} == kept


@pytest.mark.promise(3)
def test_a_zombie_of_an_ended_attempt_that_publishes_late_changes_nothing(
    augmented: Path, copied: Callable[..., Path]
) -> None:
    """It holds other bytes than were published, as one of another machine would."""
    run = copied(augmented)
    store, arm = Store(run), open_arm(Store(run), "adaptive")
    before = stamps(run)
    for stage in STAGES:
        key = f"{stage}/{arm.manifest['files'][0]['name']}"
        late, _ = encode(read_shard(store, key).slice(0, 1), stage=stage, identity="of another attempt")
        assert not store.create(key, late)
    store.create("augmented/adaptive/train-00000-of-00099.parquet", late)  # of another plan, even
    again = open_arm(store, "adaptive")
    assert [each.id for each in again.examples(again.keys("train"))] == [
        each.id for each in arm.examples(arm.keys("train"))
    ], "readers go by the manifest, not by what lies there"
    assert {key: stamps(run)[key] for key in before} == before


ZOMBIE = """
import sys
from pathlib import Path
from ray_jobs.storage.store import Store
from tests.helpers.toy import Toy, until
stage, shard = Toy(Store(sys.argv[1])), sys.argv[2]
done = stage.run(stage.load(shard))
(stage.wishes / "begun").touch()
until(stage.wishes / "over", "the others' end")
stage.publish(shard, done)
"""


@pytest.mark.promise(3)
def test_a_process_that_was_given_up_and_lives_on_publishes_late_and_in_vain(cluster: None, tmp_path: Path) -> None:
    run, plan, pool = tmp_path / "run", plan_of(7), Pool(cpus=0.5)
    (run / "wishes").mkdir(parents=True)
    paths = str(ROOT)
    zombie = start_python("-c", ZOMBIE, str(run), plan.shards[3], PYTHONPATH=paths)
    until(run / "wishes" / "begun", "the zombie's work")
    store = Store(run)
    steps = [StageSpec(stage, pool) for stage in (Toy(store), Blend(store))]
    run_stages(store, Cluster(is_local=False, autoscales=False), plan, steps, plan.shards, wait_s=30, quiet=True)
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in run.rglob("*.parquet")}
    assert len(before) == 14
    (run / "wishes" / "over").touch()
    assert finish(zombie) == (0, "", "")
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in run.rglob("*.parquet")} == before
    assert set(made(run).values()) == {1}
