"""The first pass of ingest: one plan for any cut of the source, resumed split by split, beside other drivers."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amia.errors import CorpusError, IdentityError
from amia.readers import open_corpus
from ray_jobs.jobs import first_pass
from ray_jobs.jobs import ingest as ingest_module
from ray_jobs.jobs.first_pass import run_first_pass
from ray_jobs.jobs.ingest import ingest
from ray_jobs.runtime.cluster import Cluster, connect
from ray_jobs.runtime.executor import run_locally
from ray_jobs.settings.job import Settings
from ray_jobs.stages.read import ReadSplit
from ray_jobs.storage.layout import PLAN_FILE
from ray_jobs.storage.plan import PLAN_VERSION, Plan
from ray_jobs.storage.store import Store
from tests.helpers.buckets import upload

POSTS = [
    {
        "id": None if number % 9 == 0 else f"p{number % 190}",
        "split": ("train", "train", "test", "dev")[number % 4],
        "text": f"post {number % 150}",
    }
    for number in range(200)
]
"""Posts with equal ids, and equal posts without one."""


@pytest.fixture(autouse=True)
def _stages_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: Any, **_: object) -> None:
        specs, shards = arguments[-2:]
        for spec in specs:
            run_locally(spec.stage, shards)

    monkeypatch.setattr(first_pass, "MB", 1)

    for module in (first_pass, ingest_module):
        monkeypatch.setattr(module, "run_stages", run)


def no_cluster() -> Cluster:
    return Cluster(is_local=True, autoscales=False)


@pytest.fixture
def settings(small: Callable[..., Settings]) -> Callable[..., Settings]:
    def make(split_bytes: int = 10**8, bucket_bytes: int = 10**8) -> Settings:
        return small("per_shard=8", f"split_mb={split_bytes}", f"bucket_mb={bucket_bytes}")

    return make


def write_jsonl(folder: Path, files: int) -> Path:
    folder.mkdir()
    size = -(-len(POSTS) // files)
    for number in range(files):
        lines = [json.dumps(post) for post in POSTS[number * size : (number + 1) * size]]
        lines.insert(min(1, len(lines)), "{")  # one row of each file is rejected
        (folder / f"{number:03d}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def write_parquet(folder: Path, files: int, row_group_size: int) -> Path:
    folder.mkdir()
    schema = pa.schema({"id": pa.string(), "split": pa.string(), "text": pa.string()})
    for number in range(files):
        table = pa.Table.from_pylist(POSTS[number::files], schema)
        pq.write_table(table, folder / f"{number:03d}.parquet", row_group_size=row_group_size)
    return folder


def first_pass_of(source: Path | str, run: Path, settings: Settings) -> Plan:
    return run_first_pass(Store(run), open_corpus(source), settings, no_cluster, quiet=True)


def stamps(run: Path) -> dict[Path, tuple[int, int]]:
    """Return inode and time of every file of scratch."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in run.rglob("scratch/**/*") if path.is_file()}


def rejected_rows(run: Path) -> Counter[tuple[str | None, str]]:
    files = (run / "scratch").glob("*/quarantine/*.jsonl")
    rows = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return Counter((row["id"], row["reason"]) for row in rows)


@pytest.mark.promise(6)
def test_plan_does_not_depend_on_the_cuts(settings: Callable[..., Settings], bucket: str, tmp_path: Path) -> None:
    reference = first_pass_of(write_parquet(tmp_path / "one", 1, 1000), tmp_path / "run", settings())
    rejected = rejected_rows(tmp_path / "run")
    assert rejected.total() == reference.rejected > 0
    stored = upload(tmp_path / "one", f"{bucket}/{tmp_path.name}")
    sources = [
        (write_parquet(tmp_path / "seven", 7, 3), settings(split_bytes=100)),
        (write_parquet(tmp_path / "many", 64, 1000), settings(split_bytes=900, bucket_bytes=30_000)),
        (stored, settings(split_bytes=300, bucket_bytes=5_000)),
    ]
    for number, (source, cut) in enumerate(sources):
        run = tmp_path / f"run{number}"
        plan = first_pass_of(source, run, cut)
        assert len(list((run / plan.scratch / "splits").iterdir())) >= (2, 2, 1)[number]
        assert (plan.digest, plan.posts, plan.rejected) == (reference.digest, reference.posts, reference.rejected)
        assert rejected_rows(run) == rejected


def test_lines_of_rejected_rows_are_those_of_the_file(settings: Callable[..., Settings], tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "source", 2)
    wheres = []
    for name, cut in (("whole", settings()), ("cut", settings(split_bytes=700, bucket_bytes=3_000))):
        plan = first_pass_of(source, tmp_path / name, cut)
        files = (tmp_path / name / plan.scratch / "quarantine").iterdir()
        lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
        wheres.append(sorted(json.loads(line)["where"] for line in lines))
    assert wheres[0] == wheres[1]
    assert {"000.jsonl:2", "001.jsonl:2"} <= set(wheres[0])


@pytest.mark.promise(1)
def test_finished_splits_are_not_read_again(
    settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, cut = write_jsonl(tmp_path / "source", 5), settings(split_bytes=700, bucket_bytes=3_000)
    undisturbed = first_pass_of(source, tmp_path / "other", cut)
    reads: list[int] = []
    run_split = ReadSplit.run

    def fail_at_the_seventh(self: ReadSplit, loaded: int) -> object:
        reads.append(loaded)
        if len(reads) == 7:
            raise KeyboardInterrupt
        return run_split(self, loaded)

    monkeypatch.setattr(ReadSplit, "run", fail_at_the_seventh)
    with pytest.raises(KeyboardInterrupt):
        first_pass_of(source, tmp_path / "run", cut)
    finished = stamps(tmp_path / "run")
    plan = first_pass_of(source, tmp_path / "run", cut)
    assert plan == undisturbed
    assert Counter(reads) == Counter(range(len(set(reads)))) + Counter([6])
    assert stamps(tmp_path / "run").items() >= finished.items()
    first_pass_of(source, tmp_path / "run", cut)
    assert len(reads) == len(set(reads)) + 1


@pytest.mark.promise(2)
def test_two_drivers_share_the_work(settings: Callable[..., Settings], tmp_path: Path) -> None:
    source, cut = write_jsonl(tmp_path / "source", 5), settings(split_bytes=700, bucket_bytes=3_000)
    plans: list[Plan] = []
    drivers = [
        threading.Thread(target=lambda: plans.append(first_pass_of(source, tmp_path / "run", cut))) for _ in range(2)
    ]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert plans == [first_pass_of(source, tmp_path / "other", cut)] * 2


def test_changed_source_gets_another_scratch(settings: Callable[..., Settings], tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "source", 2)
    before = first_pass_of(source, tmp_path / "run", settings())
    with (source / "000.jsonl").open("a", encoding="utf-8") as file:
        file.write('\n{"id": "new", "text": "new"}')
    after = first_pass_of(source, tmp_path / "run", settings())
    assert after.scratch != before.scratch
    assert sum(after.posts.values()) == sum(before.posts.values()) + 1


@pytest.mark.promise(7)
def test_source_that_changes_meanwhile_is_refused(
    settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_jsonl(tmp_path / "source", 3)
    run_split = ReadSplit.run

    def change_the_last_file(self: ReadSplit, loaded: int) -> object:
        (source / "002.jsonl").write_text('{"text": "other"}')
        return run_split(self, loaded)

    monkeypatch.setattr(ReadSplit, "run", change_the_last_file)
    with pytest.raises(CorpusError, match=r"002\.jsonl was changed while it was being read"):
        first_pass_of(source, tmp_path / "run", settings(split_bytes=700))


@pytest.mark.promise(7)
def test_run_with_an_earlier_plan(settings: Callable[..., Settings], cluster: None, tmp_path: Path) -> None:
    source, run = write_jsonl(tmp_path / "source", 1), tmp_path / "run"
    ingest(str(source), str(run), settings(), quiet=True)
    plan = json.loads((run / PLAN_FILE).read_text())
    assert plan.pop("version") == PLAN_VERSION
    (run / PLAN_FILE).write_text(json.dumps(plan))
    identity = run / "posts" / "identity.json"
    identity.write_text(identity.read_text().replace('"version": 2', '"version": 1'))
    assert Plan.find(Store(run)) == replace(Plan(**plan), version=1)
    ingest(str(source), str(run), settings(), quiet=True)  # finished: it stays as it is
    next((run / "posts").glob("train-*")).unlink()
    with pytest.raises(IdentityError, match=r"planned by an earlier version of amia \(plan version 1, now 2\)"):
        ingest(str(source), str(run), settings(), quiet=True)


def test_cluster_is_started_only_if_there_is_more_than_one_split(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    def refuse() -> Cluster:
        raise AssertionError("the cluster was started")

    source = write_jsonl(tmp_path / "source", 3)
    run_first_pass(Store(tmp_path / "run"), open_corpus(source), settings(), refuse, quiet=True)
    with pytest.raises(AssertionError, match="the cluster was started"):
        run_first_pass(Store(tmp_path / "b"), open_corpus(source), settings(split_bytes=700), refuse, quiet=True)


def test_local_folder_is_read_by_actors_on_one_machine_only(cluster: None) -> None:
    assert connect().is_one_machine()
    assert not Cluster(is_local=False, autoscales=True).is_one_machine()
