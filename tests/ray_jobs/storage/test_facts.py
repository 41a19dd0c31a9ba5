"""Facts of shards: from actors, from a table, or from the shards, each read at most once."""

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amia.errors import RunError, StoreError
from ray_jobs.storage.facts import ShardFacts, pack_footers
from ray_jobs.storage.fingerprint import check_or_write_identity
from ray_jobs.storage.layout import shard_key
from ray_jobs.storage.shards import ShardMetadata, encode
from ray_jobs.storage.store import Store
from tests.helpers.toy import toy_plan

PLAN = replace(toy_plan(6), posts={"test": 4, "train": 8})
FOLDER = "scores"


class CountingStore(Store):
    """Counts the requests for each key or prefix by kind."""

    requests: Counter[tuple[str, str]]

    def __getattribute__(self, name: str) -> Any:
        method = super().__getattribute__(name)
        if name not in ("read_range", "find", "read", "list", "info", "create"):
            return method

        def counted(key: str, *rest: Any) -> Any:
            self.__dict__.setdefault("requests", Counter())[name, key] += 1
            return method(key, *rest)

        return counted

    def take(self) -> Counter[tuple[str, str]]:
        """Return the requests since the last call."""
        return Counter(self.__dict__.pop("requests", {}))


def publish(store: Store, shard: str, values: int = 2, identity: str = "x") -> ShardMetadata:
    """Publish a shard of `values` rows, and return its footer."""
    data, metadata = encode(
        pa.table({"id": [f"{shard}-{number}" for number in range(values)]}),
        stage=FOLDER,
        identity=identity,
        counts={"image=ok": values},
        extra={"histogram": {"bins": [3, 70_000], "counts": [1, 1]}, "cosine": [-0.1, 0.3]},
    )
    store.create(shard_key(FOLDER, shard), data)
    return metadata


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    """A run with all shards of one folder."""
    store = CountingStore(tmp_path / "run")
    check_or_write_identity(store, FOLDER, {"stage": FOLDER})
    for shard in PLAN.shards:
        publish(store, shard)
    store.take()
    return store


def tables(store: Store) -> list[str]:
    return sorted(store.list_sizes("facts"))


def read(store: Store, *, publishes: bool = True) -> list[ShardMetadata]:
    """Read all footers as another job does."""
    return list(ShardFacts(store, PLAN, publishes=publishes).metadata(FOLDER, PLAN.shards))


def test_unknown_footers_are_read_once_by_one_request(store: CountingStore) -> None:
    facts = ShardFacts(store, PLAN)
    some = list(facts.metadata(FOLDER, PLAN.shards[2:4]))
    assert list(facts.metadata(FOLDER, PLAN.shards))[2:4] == some
    assert list(facts.metadata(FOLDER, PLAN.shards)) == [publish(store, shard) for shard in PLAN.shards]
    requests = store.take()
    assert {key: count for (kind, key), count in requests.items() if kind == "read_range"} == {
        shard_key(FOLDER, shard): 1 for shard in PLAN.shards
    }
    assert requests["list", FOLDER] == 1
    assert tables(store) == [], "published without being asked to"


def test_footers_of_actors_are_not_read(store: CountingStore) -> None:
    facts = ShardFacts(store, PLAN, publishes=True)
    footers = {shard_key(FOLDER, shard): publish(store, shard) for shard in PLAN.shards}
    store.take()
    facts.add(pack_footers(dict(list(footers.items())[:4])) + pack_footers(dict(list(footers.items())[4:])))
    facts.publish(FOLDER)
    assert list(facts.metadata(FOLDER, PLAN.shards)) == list(footers.values())
    assert not any(kind == "read_range" for kind, _ in store.take())


def test_second_job_reads_one_table(store: CountingStore) -> None:
    footers = read(store)
    [table] = tables(store)
    store.take()
    assert read(store) == footers
    assert store.take() == {("list", FOLDER): 1, ("find", f"{FOLDER}/identity.json"): 1, ("find", table): 1}
    rows = pq.read_table(store.folder / table).to_pylist()
    assert [row["shard"] for row in rows] == PLAN.shards
    assert {row["rows"] for row in rows} == {2}


@pytest.mark.promise(2)
def test_all_drivers_publish_the_same_table(store: CountingStore, tmp_path: Path) -> None:
    read(store)
    other = Store(tmp_path / "other")
    check_or_write_identity(other, FOLDER, {"stage": FOLDER})
    facts = ShardFacts(other, PLAN, publishes=True)
    for shard in reversed(PLAN.shards):
        facts.add(pack_footers({shard_key(FOLDER, shard): publish(other, shard)}))
    facts.publish(FOLDER)
    assert {key: store.read(key) for key in tables(store)} == {key: other.read(key) for key in tables(other)}


@pytest.mark.promise(5)
def test_table_of_other_shards_is_not_used(store: CountingStore) -> None:
    read(store)
    [table] = tables(store)
    first = shard_key(FOLDER, PLAN.shards[0])
    store.remove([first])
    with pytest.raises(StoreError, match=first):
        read(store)
    publish(store, PLAN.shards[0])
    store.take()
    read(store)
    assert store.take()["find", table] == 1, "the shard is the same again, and so is the table"
    store.remove([first])
    publish(store, PLAN.shards[0], values=3)
    assert [footer.rows for footer in read(store)] == [3, 2, 2, 2, 2, 2]
    store.remove([f"{FOLDER}/identity.json"])
    check_or_write_identity(store, FOLDER, {"stage": FOLDER, "settings": "others"})
    store.take()
    read(store)
    assert sum(count for (kind, _), count in store.take().items() if kind == "read_range") == len(PLAN.shards)
    assert len(tables(store)) == 3


def test_only_whole_splits_get_a_table(store: CountingStore) -> None:
    store.remove([shard_key(FOLDER, PLAN.shards[0])])
    ShardFacts(store, PLAN, publishes=True).publish(FOLDER)
    assert tables(store) == []
    store.remove([shard_key(FOLDER, shard) for shard in PLAN.shards_of("test")[1:]])
    ShardFacts(store, PLAN, publishes=True).publish(FOLDER)
    assert len(tables(store)) == 1


def test_shards_that_appear_later_are_found(store: CountingStore) -> None:
    last = PLAN.shards[-1]
    store.remove([shard_key(FOLDER, last)])
    facts = ShardFacts(store, PLAN)
    assert len(list(facts.metadata(FOLDER, PLAN.shards[:-1]))) == len(PLAN.shards) - 1
    publish(store, last)
    assert [footer.rows for footer in facts.metadata(FOLDER, [last])] == [2]
    assert store.take()["list", FOLDER] == 2


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"hello"])
def test_damaged_table_is_refused(store: CountingStore, damage: Callable[[bytes], bytes]) -> None:
    read(store)
    [table] = tables(store)
    store.replace(table, damage(store.read(table)))
    with pytest.raises(RunError, match=rf"{table} in .* was not written by amia"):
        read(store)


def test_foreign_table_is_refused(store: CountingStore, tmp_path: Path) -> None:
    read(store)
    [table] = tables(store)
    pq.write_table(pa.table({"shard": PLAN.shards}), tmp_path / "foreign.parquet")
    store.replace(table, (tmp_path / "foreign.parquet").read_bytes())
    with pytest.raises(RunError, match="other columns"):
        read(store)


def test_is_pickled_empty(store: CountingStore) -> None:
    facts = ShardFacts(Store(store.address), PLAN)
    footers = list(facts.metadata(FOLDER, PLAN.shards))
    restored = copy.copy(facts)  # as pickle does it
    assert not restored._footers
    assert list(restored.metadata(FOLDER, PLAN.shards)) == footers
