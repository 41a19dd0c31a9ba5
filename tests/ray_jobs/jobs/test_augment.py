"""`augment` with the demo's weights on real Ray: equal bytes for any number of actors, and no repeated work."""

import json
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.status import status
from ray_jobs.settings.job import Settings
from tests.helpers.drivers import DATA, assert_equal_files, file_stamps, read_files
from tests.helpers.local_actors import local_actors

ARMS = ("adaptive", "original")


@pytest.fixture(scope="module")
def distributed(ingested: Path, small: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same job in another folder, on actors: two that synthesize, two that mix, and leases of one shard.

    Those with a model have one declared GPU each. Only one embeds: each such actor takes seconds to import its model.
    """
    run = tmp_path_factory.mktemp("elsewhere") / "another run"
    shutil.copytree(ingested, run)
    overrides = [f"pools.{stage}.{name}" for stage in ("synthesize", "mix") for name in ("min=2", "max=2")]
    overrides += [f"pools.{stage}.gpus=1" for stage in ("embed", "synthesize")]
    overrides += [f"pools.{stage}.lease=1" for stage in ("embed", "score", "synthesize", "mix")]
    for arms in (ARMS, ("two-sided",)):  # apart, since the second job does not synthesize and mix in one execution
        augment(str(run), small(*overrides), arms=arms, accept_mixture=True, quiet=True)
    return run


def log_lines(run: Path) -> list[dict[str, object]]:
    return [json.loads(line) for file in (run / "log").glob("*.jsonl") for line in file.read_text().splitlines()]


@pytest.mark.promise(6)
def test_one_and_two_actors_write_equal_bytes(augmented: Path, controls: Path, distributed: Path) -> None:
    folders = ("synthesized", *(f"augmented/{arm}" for arm in ARMS))
    assert_equal_files(augmented, distributed, "posts", "embeddings", "scores", "mixture", *folders)
    assert_equal_files(controls, distributed, "synthesized_scores", "augmented/two-sided")
    assert len(read_files(distributed, "synthesized")) == 11  # ten shards and the identity
    assert {f"augmented/{arm}/manifest.json" for arm in ARMS} <= read_files(distributed, "augmented").keys()


@pytest.mark.promise(6, 23)
@pytest.mark.slow  # the test above has two actors
def test_eight_actors_write_equal_bytes(
    augmented: Path, ingested: Path, small: Callable[..., Settings], copied: Callable[..., Path]
) -> None:
    run = copied(ingested)
    stages = ("embed", "score", "synthesize", "mix")
    overrides = [f"pools.{stage}.{name}" for stage in stages for name in ("min=4", "max=8", "cpus=0.5", "lease=1")]
    augment(str(run), small(*overrides), arms=ARMS, accept_mixture=True, quiet=True)
    assert_equal_files(augmented, run)
    actors = {line["pid"] for line in log_lines(run) if line["stage"] == "synthesized"}
    assert len(actors) >= 3


def test_each_actor_has_its_own_gpu(distributed: Path) -> None:
    actors, devices = defaultdict(set), defaultdict(set)
    for line in log_lines(distributed):
        actors[line["stage"]].add(line["pid"])
        devices[line["stage"], line["pid"]].add(line["cuda_visible_devices"])
    assert len(actors["synthesized"]) == 2
    assert {len(actor_devices) for actor_devices in devices.values()} == {1}
    first, second = (devices["synthesized", pid] for pid in actors["synthesized"])
    assert first != second, "two actors with one GPU each share a GPU"


def test_synthesize_and_mix_overlap(distributed: Path) -> None:
    ended = defaultdict(list)
    for line in log_lines(distributed):
        ended[line["stage"]].append(line["ended"])
    assert min(ended["augmented"]) < max(ended["synthesized"])


@pytest.mark.promise(17)
def test_every_post_occurs_once_in_its_split(augmented: Path, corpus: Path) -> None:
    truth = [json.loads(line) for line in (corpus / "truth.ndjson").read_text(encoding="utf-8").splitlines()]
    for arm in ARMS:
        rows = [
            (row["id"], file.name.partition("-")[0])
            for file in (augmented / "augmented" / arm).glob("*.parquet")
            for row in pq.read_table(file, columns=["id"]).to_pylist()
        ]
        assert sorted(rows) == sorted((post["id"], post["split"]) for post in truth)


def test_repeated_command_changes_nothing(augmented: Path, small: Callable[..., Settings]) -> None:
    before, log = file_stamps(augmented), sorted((augmented / "log").iterdir())
    result = augment(str(augmented), small(), arms=ARMS, accept_mixture=True, quiet=True)
    assert {arm: counts.total() for arm, counts in result.counts.items()} == dict.fromkeys(ARMS, result.posts)
    assert result.posts == 96
    assert file_stamps(augmented) == before
    assert sorted((augmented / "log").iterdir()) == log
    assert sorted(path.name for path in augmented.iterdir()) == sorted([*DATA, "facts", "index", "log", "plan.json"])


@local_actors()
def test_additional_arm_reuses_images(
    augmented: Path, small: Callable[..., Settings], copied: Callable[..., Path]
) -> None:
    run = copied(augmented)
    before = file_stamps(run)
    augment(str(run), small(), arms=("fixed-0.5",), accept_mixture=True, quiet=True)
    new = file_stamps(run).keys() - before.keys()
    assert {key.rpartition("/")[0] for key in new} == {"augmented/fixed-0.5"}
    assert {key: file_stamps(run)[key] for key in before} == before
    assert {line["stage"] for line in log_lines(run) if line not in log_lines(augmented)} == {"augmented"}
    assert status(str(run))["finished"]
