"""`amia remove` takes posts out of a run: no byte of them stays, and everything goes on with the others."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from amia.errors import AmiaError, RunError, SettingsError, StoreError
from amia.matching.model import MatchingModel
from ray_jobs.jobs import remove as remove_module
from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.mixture import read_matching_model
from ray_jobs.jobs.remove import remove_posts
from ray_jobs.jobs.report import report
from ray_jobs.jobs.status import status
from ray_jobs.runtime.heartbeat import HeartbeatRecord
from ray_jobs.settings.job import Settings
from ray_jobs.stages.remove_posts import RemovePosts
from ray_jobs.storage.fingerprint import read_identity
from ray_jobs.storage.layout import shard_keys
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_shard, with_rows
from ray_jobs.storage.store import Store
from tests.helpers.drivers import assert_equal_files, finish, kill_when, read_files, start

pytestmark = pytest.mark.usefixtures("local_stages")

Row = dict[str, Any]
FOLDERS = ("posts", "embeddings", "scores", "synthesized", "mixture", "augmented", "removals", "quarantine")


def read_rows(run: Path, folder: str) -> list[Row]:
    """Return the rows of all shards of a folder, in the order of their names."""
    return [row for file in sorted((run / folder).glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def some_ids(run: Path, count: int = 5) -> list[str]:
    """Return ids of posts with an image: of the bank, which is the first of train, and of other splits."""
    rows = [row for row in read_rows(run, "posts") if row["image_status"] == "ok"]
    train = [row["id"] for row in rows if row["split"] == "train"]
    return [train[0], *train[20 : 20 + count - 2], *[row["id"] for row in rows if row["split"] == "test"][:1]]


@pytest.mark.promise(40)
def test_shards_and_manifests_hold_the_posts_that_stay(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings]
) -> None:
    run = copied(augmented)
    gone = some_ids(run)
    result = remove_posts(Store(run), [*gone, "no-such-id"], small(), quiet=True)
    assert (result.posts, result.missing, result.already) == ({"train": 4, "test": 1}, ["no-such-id"], 0)
    for folder in ("posts", "embeddings", "scores", "synthesized", "augmented/adaptive", "augmented/original"):
        before = {row["id"]: row for row in read_rows(augmented, folder)}
        after = {row["id"]: row for row in read_rows(run, folder)}
        assert after == {post_id: row for post_id, row in before.items() if post_id not in gone}, folder
    plan = Plan.find(Store(run))
    assert plan is not None
    manifest = json.loads((run / "augmented" / "adaptive" / "manifest.json").read_text())
    assert manifest["rows"] == plan.total == 91
    assert [file["name"] for file in manifest["files"]] == [f"{shard}.parquet" for shard in plan.shards]
    assert manifest["splits"] == plan.posts
    assert sum(file["rows"] for file in manifest["files"]) == sum(map(plan.rows_of, plan.shards))
    assert "5 posts were removed" in (run / "augmented" / "adaptive" / "README.md").read_text()


@pytest.mark.slow
def test_unaffected_shards_and_identities_stay(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings]
) -> None:
    run = copied(augmented)
    result = remove_posts(Store(run), some_ids(run, 3), small(), quiet=True)
    before, after = read_files(augmented), read_files(run)
    changed = {key for key in before if before[key] != after.get(key)}
    shards = {key for key in changed if key.endswith(".parquet")}
    assert len(shards) == 6 * result.shards
    assert all(f"{key.removesuffix('.parquet')}-r1.parquet" in after for key in shards)
    others = {f"augmented/{arm}/{name}" for arm in ("adaptive", "original") for name in ("README.md", "manifest.json")}
    assert changed - shards == others | {"mixture/bank.safetensors"}


def test_new_shards_are_those_that_the_stages_would_publish(controls: Path) -> None:
    """A footer is recomputed from rows: with all rows, it must come out as it was."""
    store = Store(controls)
    folders = [path for path in controls.rglob("*/") if any(path.glob("*.parquet"))]
    names = [str(path.relative_to(controls)) for path in folders if "facts" not in path.parts]
    assert {"posts", "embeddings", "scores", "synthesized", "synthesized_scores", "augmented/two-sided"} <= set(names)
    stage = RemovePosts(store, number=1, plan="", folders=names)
    stage._identities = {folder: read_identity(store, folder) or {} for folder in ("scores", "synthesized")}
    for name in names:
        for file in sorted((controls / name).glob("*.parquet")):
            table = read_shard(store, f"{name}/{file.name}")
            assert with_rows(table, table, stage._footer(name, table, table, table.slice(0, 0))) == file.read_bytes()


@pytest.mark.slow
def test_bank_is_that_of_the_posts_that_stay_and_theta_stays(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings]
) -> None:
    run = copied(augmented)
    before = MatchingModel.load(run / "mixture")
    gone = [*before.bank.ids[:2], before.bank.ids[-1]]
    result = remove_posts(Store(run), gone, small(), quiet=True)
    assert result.bank == 3
    after = read_matching_model(Store(run))
    assert after is not None
    with_image = [row["id"] for row in read_rows(run, "embeddings") if row["image_vector"] is not None]
    training = {row["id"] for row in read_rows(run, "posts") if row["split"] == "train"}
    assert list(after.bank.ids) == [post_id for post_id in with_image if post_id in training][: len(before.bank)]
    assert (after.digest, after.bank_digest) == (before.digest, before.bank_digest)
    assert after.fits.keys() == before.fits.keys()
    assert list(MatchingModel.load(run / "mixture").bank.ids) == list(after.bank.ids)
    theta = {row["id"]: row["theta"] for row in read_rows(augmented, "augmented/adaptive")}
    assert all(row["theta"] == theta[row["id"]] for row in read_rows(run, "augmented/adaptive"))


@pytest.mark.promise(41)
def test_another_list_and_other_jobs_wait(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(augmented)
    gone = some_ids(run)
    with monkeypatch.context() as patch:
        patch.setattr(remove_module, "_switch", stop)
        with pytest.raises(StoreError):
            remove_posts(Store(run), gone, small(), quiet=True)
    assert status(str(run))["removing"]
    with pytest.raises(RunError, match="another list of posts is being removed"):
        remove_posts(Store(run), gone[1:], small(), quiet=True)
    for job in (
        lambda: augment(str(run), small(), arms=("cosine",), accept_mixture=True, quiet=True),
        lambda: report(str(run)),
    ):
        with pytest.raises(RunError, match="posts are being removed from"):
            job()
    assert sum(remove_posts(Store(run), gone, small(), quiet=True).posts.values()) == 5
    assert (status(str(run))["removing"], status(str(run))["removed"]) == (False, 5)
    assert remove_posts(Store(run), gone, small(), quiet=True).already == 5


def stop(*_: Any, **__: Any) -> None:
    raise StoreError("stopped")


def test_a_running_job_is_waited_for(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings]
) -> None:
    run = copied(augmented)
    record = HeartbeatRecord(host="node1", pid=42, started=0, working={"augmented/cosine": []})
    Store(run).create("log/x-running.json", json.dumps(asdict(record)).encode())
    with pytest.raises(RunError, match=r"a job works on .*, on node1 \(process 42\)"):
        remove_posts(Store(run), some_ids(run), small(), quiet=True)
    assert not (run / "removals").exists()


def test_what_cannot_be_removed_is_refused(
    ingested: Path, copied: Callable[..., Path], small: Callable[..., Settings], tmp_path: Path
) -> None:
    run = copied(ingested)
    with pytest.raises(RunError, match="these are all posts"):
        remove_posts(Store(run), [row["id"] for row in read_rows(run, "posts")], small(), quiet=True)
    with pytest.raises(SettingsError, match="no ids"):
        remove_posts(Store(run), [], small(), quiet=True)
    next((run / "posts").glob("*.parquet")).unlink()
    with pytest.raises(RunError, match="shards of posts are missing"):
        remove_posts(Store(run), ["x"], small(), quiet=True)
    with pytest.raises(RunError, match="no posts in"):
        remove_posts(Store(tmp_path / "empty"), ["x"], small(), quiet=True)


@pytest.mark.slow
@pytest.mark.promise(41)
def test_an_interruption_at_any_write_changes_nothing(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fifth write or deletion is stopped once, before it is done or after it."""
    gone = some_ids(augmented)
    expected = copied(augmented)
    calls = count_calls(monkeypatch, lambda: remove_posts(Store(expected), gone, small(), quiet=True), at=None)
    assert calls > 40
    for at in range(0, calls, 5):
        run = copied(augmented)
        count_calls(monkeypatch, lambda: remove_posts(Store(run), gone, small(), quiet=True), at=at)  # noqa: B023
        remove_posts(Store(run), gone, small(), quiet=True)
        assert_equal_files(run, expected, *FOLDERS)
        assert not Store(run).list("removals/0001")
        shutil.rmtree(run)


def count_calls(monkeypatch: pytest.MonkeyPatch, job: Callable[[], object], at: int | None) -> int:
    """Run a job, which is stopped at one of its writes: before it, or after it if it is odd. Return the number."""
    calls = 0

    def counted(name: str) -> Callable[..., Any]:
        original = getattr(Store, name)

        def call(store: Store, *args: Any, **options: Any) -> Any:
            nonlocal calls
            if name == "create" and args[0].startswith(("probe/", "log/")):
                return original(store, *args, **options)
            calls += 1
            if calls - 1 == at and not at % 2:
                raise StoreError("stopped")
            result = original(store, *args, **options)
            if calls - 1 == at:
                raise StoreError("stopped")
            return result

        return call

    with monkeypatch.context() as patch:
        for name in ("create", "replace", "remove"):
            patch.setattr(Store, name, counted(name))
        try:
            job()
        except AmiaError as error:
            assert "stopped" in str(error)  # noqa: PT017
    return calls


@pytest.mark.slow
@pytest.mark.promise(41)
def test_kill_and_second_driver(augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings]) -> None:
    run, expected, gone = copied(augmented), copied(augmented), some_ids(augmented)
    remove_posts(Store(expected), gone, small(), quiet=True)
    (run.parent / "ids.txt").write_text("".join(f"{post_id}\n" for post_id in gone))
    words = ("remove", str(run), "--ids", str(run.parent / "ids.txt"), "--json", "pools.fetch.max=1")
    kill_when(start(*words), lambda: any((run / "removals" / "0001").glob("*.json")))
    assert status(str(run))["removing"]
    drivers = [start(*words), start(*words)]
    results = [finish(driver) for driver in drivers]
    assert [code for code, _, _ in results] == [0, 0], results
    assert {sum(json.loads(stdout)["runs"][0]["posts"].values()) for _, stdout, _ in results} == {5}
    assert_equal_files(run, expected, *FOLDERS)


@pytest.mark.slow
def test_a_finished_arm_that_lost_a_shard_is_opened_again(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings]
) -> None:
    run = copied(augmented)
    gone = some_ids(run)
    for file in (run / "augmented" / "adaptive").glob("test-*.parquet"):
        file.unlink()
    remove_posts(Store(run), gone, small(), quiet=True)
    assert status(str(run))["finished"] == ["original"]
    augment(str(run), small(), accept_mixture=True, quiet=True)
    assert {row["id"] for row in read_rows(run, "augmented/adaptive")}.isdisjoint(gone)
    assert len(read_rows(run, "augmented/adaptive")) == 91


def test_results_of_experiments_lose_the_ids(
    ingested: Path, copied: Callable[..., Path], small: Callable[..., Settings]
) -> None:
    run = copied(ingested)
    gone = some_ids(run)[-1]
    Store(run).create("cells/x.json", json.dumps({"ids": ["a", gone], "counts": [1, 2]}).encode())
    remove_posts(Store(run), [gone], small(), quiet=True)
    cell = json.loads((run / "cells" / "x.json").read_text())
    assert (cell["ids"][0], len(cell["ids"][1]), cell["counts"]) == ("a", 32, [1, 2])


def test_a_run_in_a_bucket(bucket: str, ingested: Path, small: Callable[..., Settings]) -> None:
    store, source, ids = Store(f"{bucket}/removing"), Store(ingested), some_ids(ingested)
    for key in source.list(""):
        store.create(key, source.read(key))
    store.create("exported/umt/.amia/identity.json", b"{}")
    store.create("mine/notes.txt", b"")
    result = remove_posts(store, ids, small(), quiet=True)
    assert (sum(result.posts.values()), result.foreign) == (5, ["mine"])
    assert not store.list("exported")
    plan = Plan.find(store)
    assert plan is not None
    assert {key for key in store.list("posts") if key.endswith(".parquet")} == set(shard_keys("posts", plan.shards))
