"""How the plan groups posts into shards, and how it is stored."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.errors import RunError
from ray_jobs.storage.plan import Plan, parse_shard_name
from ray_jobs.storage.store import Store

PLAN = Plan(
    posts={"train": 1025, "test": 3},
    per_shard=512,
    seed=0,
    digest="d",
    types=["PER"],
    rejected=0,
    repaired=0,
    labeled=0,
    source={},
    scratch="scratch/x",
    segments={"train": [1025], "test": [3]},
)


def test_shard_names_and_sizes() -> None:
    assert PLAN.shards == [
        "test-00000-of-00001",
        "train-00000-of-00003",
        "train-00001-of-00003",
        "train-00002-of-00003",
    ]
    assert [PLAN.rows_of(shard) for shard in PLAN.shards] == [3, 512, 512, 1]


def test_many_shards_have_more_digits_and_sort() -> None:
    shards = replace(PLAN, posts={"train": 100_001}, per_shard=1).shards
    assert shards[0] == "train-000000-of-100001"
    assert shards == sorted(shards)


@pytest.mark.promise(17)
@given(posts=st.integers(1, 3000), per_shard=st.integers(1, 700))
def test_every_post_is_in_one_shard(posts: int, per_shard: int) -> None:
    plan = replace(PLAN, posts={"a_1": posts}, per_shard=per_shard)
    assert sum(plan.rows_of(shard) for shard in plan.shards) == posts == plan.total
    assert [parse_shard_name(shard) for shard in plan.shards] == [("a_1", index) for index in range(len(plan.shards))]


def test_fit_uses_train_or_all_splits() -> None:
    assert PLAN.fit_splits() == ["train"]
    assert replace(PLAN, posts={"test": 1, "dev": 2}).fit_splits() == ["dev", "test"]


def test_first_plan_is_kept(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    assert Plan.find(store) is None
    assert PLAN.publish(store)
    assert not replace(PLAN, seed=1).publish(store)
    assert Plan.find(store) == PLAN


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", json.dumps({"posts": {}, "magic": 1}).encode()])
def test_foreign_plan_is_refused(tmp_path: Path, content: bytes) -> None:
    store = Store(tmp_path / "run")
    store.create("plan.json", content)
    with pytest.raises(RunError, match=r"plan\.json in .* was not written by this version of amia"):
        Plan.find(store)
