"""A corpus that grows: each post is in one of the runs, and what is new is scored by the first run's mixture."""

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest

from amia.errors import AmiaError, IdentityError, MixtureError, RunError, SettingsError
from ray_jobs.jobs import first_pass
from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.export import export
from ray_jobs.jobs.ingest import IngestResult, ingest
from ray_jobs.jobs.report import report
from ray_jobs.jobs.status import status
from ray_jobs.jobs.train import train
from ray_jobs.settings.job import Settings
from ray_jobs.storage.arm import open_arm
from ray_jobs.storage.combined import CombinedStore
from tests.helpers.drivers import read_files
from tests.helpers.local_actors import local_actors

Row = dict[str, object]

DAY_1 = [{"id": f"a{number}" if number % 5 else None, "text": f"first {number}"} for number in range(60)]
DAY_2 = [
    *({"id": f"b{number}", "text": f"second {number}"} for number in range(40)),
    *DAY_1[::4],  # known by id, or by their content if they have none
    *({"id": f"again{number}", "text": f"first {number}"} for number in range(0, 60, 7)),  # known by their body
    *({"id": f"a{number}", "text": f"edited {number}"} for number in (1, 2, 3)),  # changed
    *({"text": f"first {number}"} for number in (1, 2)),  # known by their body, without an id
]
DAY_3 = [
    *({"id": f"c{number}", "text": f"third {number}"} for number in range(20)),
    *DAY_1[10:20],
    *DAY_2[:10],
    {"id": "a1", "text": "edited 1"},  # changed since day 1, and day 2 did not take it
]


def write_day(folder: Path, rows: Iterable[Row], files: int = 1) -> Path:
    folder.mkdir()
    lines = [json.dumps(row) for row in rows]
    for number in range(files):
        (folder / f"{number}.jsonl").write_text("\n".join(lines[number::files]), encoding="utf-8")
    return folder


def texts(run: Path) -> list[str]:
    return [
        text for file in sorted((run / "posts").glob("*.parquet")) for text in pq.read_table(file)["text"].to_pylist()
    ]


def read_ids(folder: Path) -> list[str]:
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file)["id"].to_pylist()]


def listed(run: Path, pattern: str) -> list[Row]:
    return [json.loads(line) for file in run.glob(pattern) for line in file.read_text().splitlines()]


@pytest.fixture
def settings(small: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    monkeypatch.setattr(first_pass, "MB", 1)

    def make(split_bytes: int = 10**8, bucket_bytes: int = 10**8) -> Settings:
        return small("per_shard=8", f"split_mb={split_bytes}", f"bucket_mb={bucket_bytes}")

    return make


@pytest.fixture
def ingest_days(
    cluster: None, in_this_process: None, settings: Callable[..., Settings], tmp_path: Path
) -> Callable[..., list[IngestResult]]:
    def ingest_all(base: str, *cuts: Settings, stored: bool = False) -> list[IngestResult]:
        results, since = [], None
        for number, (rows, cut) in enumerate(zip((DAY_1, DAY_2, DAY_3), cuts, strict=True)):
            source: str | Path = write_day(tmp_path / f"{base.rpartition('/')[2]}-day{number}", rows, files=number + 1)
            run = f"{base}/run{number}"
            results.append(ingest(str(source), run, cut, since=since, quiet=True))
            since = run
        return results

    return ingest_all


@pytest.mark.promise(6)
def test_every_post_is_in_one_run(
    ingest_days: Callable[..., list[IngestResult]], settings: Callable[..., Settings], bucket: str, tmp_path: Path
) -> None:
    whole = ingest_days(str(tmp_path / "whole"), settings(), settings(), settings())
    assert [result.plan.total for result in whole] == [60, 40, 20]
    assert [result.plan.known for result in whole] == [0, 15 + 9 + 2, 10 + 10]
    assert [result.plan.changed for result in whole] == [0, 3, 1]
    runs = [tmp_path / "whole" / f"run{number}" for number in range(3)]
    assert sorted(texts(runs[1])) == sorted(f"second {number}" for number in range(40))
    assert sorted(texts(runs[2])) == sorted(f"third {number}" for number in range(20))
    changed = listed(runs[1], "quarantine/changed-*.jsonl")
    assert {row["id"] for row in changed} == {"a1", "a2", "a3"}
    assert {row["reason"] for row in changed} == {f"changed: {runs[0]} holds this id with other content"}
    assert whole[2].plan.earlier == [str(runs[0]), str(runs[1])]

    small_buckets, small_splits = settings(500, 300), settings(200, 900)
    for base, cuts in (
        (str(tmp_path / "cut"), (small_buckets, settings(), small_splits)),
        (f"{bucket}/{tmp_path.name}", (settings(), small_buckets, small_buckets)),
    ):
        results = ingest_days(base, *cuts)
        assert [result.plan.digest for result in results] == [result.plan.digest for result in whole]
        assert [result.plan.known for result in results] == [result.plan.known for result in whole]
        assert max(len(result.plan.segments["train"]) for result in results) >= 8


def test_changed_posts_can_be_taken(
    cluster: None, in_this_process: None, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    for name, rows in (("one", DAY_1), ("two", DAY_2)):
        write_day(tmp_path / name, rows)
    ingest(str(tmp_path / "one"), str(tmp_path / "run1"), settings(), quiet=True)
    result = ingest(
        str(tmp_path / "two"),
        str(tmp_path / "run2"),
        settings(),
        since=str(tmp_path / "run1"),
        take_changed=True,
        quiet=True,
    )
    assert (result.plan.total, result.plan.known, result.plan.changed) == (43, 26, 3)
    assert {"edited 1", "edited 2", "edited 3"} <= set(texts(tmp_path / "run2"))
    (ids,) = (tmp_path / "run2" / result.plan.index).glob("changed-*.txt")
    assert set(ids.read_text().split()) == {"a1", "a2", "a3"}
    assert result.plan.rejected == 0
    assert not list((tmp_path / "run2").glob("quarantine/*"))


def test_nothing_new_creates_no_run(
    cluster: None, in_this_process: None, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    one, two = write_day(tmp_path / "one", DAY_1), write_day(tmp_path / "two", DAY_1[:20])
    ingest(str(one), str(tmp_path / "run1"), settings(), quiet=True)
    result = ingest(str(two), str(tmp_path / "run2"), settings(), since=str(tmp_path / "run1"), quiet=True)
    assert (result.plan.total, result.plan.known, result.counts.total()) == (0, 20, 0)
    assert not [path for path in (tmp_path / "run2").rglob("*") if path.is_file()]


def test_calls_that_cannot_be_meant_are_refused(
    cluster: None, in_this_process: None, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    one, two = write_day(tmp_path / "one", DAY_1), write_day(tmp_path / "two", DAY_2)
    run1, run2 = str(tmp_path / "run1"), str(tmp_path / "run2")

    def refuses(error: type[AmiaError], message: str, **changes: str | None) -> None:
        arguments = {"source": str(two), "run": run2, "since": run1, **changes}
        with pytest.raises(error, match=message):
            ingest(**arguments, settings=settings(), quiet=True)  # type: ignore[arg-type]

    refuses(RunError, "no posts in .*run1: start with `amia ingest")
    ingest(str(one), run1, settings(), quiet=True)
    refuses(SettingsError, "is the run itself", run=run1)
    with pytest.raises(SettingsError, match="has seed=0, not 1: use its seed"):
        ingest(str(two), run2, settings().model_copy(update={"seed": 1}), since=run1, quiet=True)
    limits = settings().image.model_copy(update={"max_side": 4000})
    with pytest.raises(IdentityError, match=r"posts/ in .*run1, which this run comes after.*\n.*image.max_side"):
        ingest(str(two), run2, settings().model_copy(update={"image": limits}), since=run1, quiet=True)
    ingest(str(two), run2, settings(), since=run1, quiet=True)
    assert ingest(str(two), run2, settings(), since=run1, quiet=True).plan.total == 40
    refuses(IdentityError, "since: .*run1.* in the run, null now", since=None)
    ingest(str(two), str(tmp_path / "other"), settings(), quiet=True)
    refuses(IdentityError, "since: .*run1.* in the run, .*other.* now", since=str(tmp_path / "other"))

    plan = json.loads((tmp_path / "run1" / "plan.json").read_text())
    (tmp_path / "run1" / "plan.json").write_text(json.dumps({**plan, "index": ""}))
    refuses(RunError, "run1 was ingested by an earlier version of amia", run=str(tmp_path / "run3"))


@pytest.fixture(scope="module")
@local_actors()
def next_day(
    augmented: Path, corpus: Path, small: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with `run`, six posts after `augmented`, and `alone`, the same posts with its mixture only."""
    base = tmp_path_factory.mktemp("next")
    posts = (corpus / "test.txt").read_text(encoding="utf-8").strip().split("\n\n")[:6]
    tomorrow = base / "tomorrow"
    shutil.copytree(corpus / "images", tomorrow / "images")
    for image in list((tomorrow / "images").iterdir()):
        image.with_name(f"x{image.name}").hardlink_to(image)
    new = "\n\n".join(posts).replace("IMGID:", "IMGID:x").replace("RT\tO", "rt\tO")
    (tomorrow / "test.txt").write_text("\n\n".join([*posts, new]), encoding="utf-8")
    settings = small("max_failed=1")
    result = ingest(str(tomorrow), str(base / "run"), settings, since=str(augmented), quiet=True)
    assert (result.plan.known, result.plan.total, result.plan.changed) == (6, 6, 0)
    with pytest.raises(MixtureError, match="takes its mixture: leave --mixture"):
        augment(str(base / "run"), settings, mixture=str(base), quiet=True)
    with pytest.raises(IdentityError, match=r"comes after, was made with other settings:\n *clip.micro_batch"):
        augment(str(base / "run"), small("max_failed=1", "clip.micro_batch=7"), quiet=True)
    augment(str(base / "run"), settings, quiet=True)

    (tomorrow / "test.txt").write_text(new, encoding="utf-8")
    ingest(str(tomorrow), str(base / "alone"), settings, quiet=True)
    augment(str(base / "alone"), settings, mixture=str(augmented), quiet=True)
    return base


@pytest.mark.promise(6)
def test_new_posts_are_scored_by_the_first_mixture(next_day: Path) -> None:
    runs = [next_day / name for name in ("run", "alone")]
    plans = [json.loads((run / "plan.json").read_text()) for run in runs]
    assert plans[0]["digest"] == plans[1]["digest"]
    contents = [read_files(run, "scores", "synthesized", "augmented/adaptive") for run in runs]
    assert contents[0].keys() - contents[1].keys() == {"augmented/adaptive/data_files.json"}
    assert contents[0] | contents[1] == contents[0]


def test_runs_are_read_as_one(next_day: Path, augmented: Path, small: Callable[..., Settings], tmp_path: Path) -> None:
    run = str(next_day / "run")
    ids = [row for folder in (augmented, next_day / "run") for row in read_ids(folder / "augmented/adaptive")]
    assert len(ids) == len(set(ids)) == 102

    seen = status(run, with_earlier=True)
    assert (seen["posts"], seen["splits"]["test"], seen["finished"]) == (102, 14 + 6, ["adaptive"])
    posts = {folder: stage["posts"] for folder, stage in seen["stages"].items()}
    assert posts.pop("augmented/original") == 96  # an arm of the first run alone
    assert set(posts.values()) == {102}
    assert sum(seen["stages"]["augmented/adaptive"]["counts"].values()) == 102
    assert seen["stages"]["augmented/adaptive"]["shards"] == 11
    arm = open_arm(CombinedStore(run), "adaptive")
    examples = [example.id for split in ("train", "validation", "test") for example in arm.examples(arm.keys(split))]
    assert sorted(examples) == sorted(ids)
    assert report(run, with_earlier=True).posts == 102
    assert report(run).posts == 6

    files = json.loads((next_day / "run/augmented/adaptive/data_files.json").read_text())
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert sorted(post for split in loaded.values() for post in split["id"]) == sorted(ids)
    assert loaded["test"].features["ner_tags"].feature.names[0] == "O"

    with pytest.raises(RunError, match="comes after no other run: leave --with-earlier out"):
        CombinedStore(str(augmented))
    with pytest.raises(RunError, match=f"no finished arm 'original' in {run}"):
        open_arm(CombinedStore(run), "original")


@local_actors()
def test_export_of_all_runs(next_day: Path, augmented: Path, small: Callable[..., Settings], tmp_path: Path) -> None:
    export(str(next_day / "run"), small(), layout="umt", to=str(tmp_path / "to"), with_earlier=True, quiet=True)
    exported = [
        line.removeprefix("IMGID:")
        for file in (tmp_path / "to/adaptive").glob("*.txt")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith("IMGID:")
    ]
    ids = [row for folder in (augmented, next_day / "run") for row in read_ids(folder / "augmented/adaptive")]
    assert sorted(exported) == sorted(ids)


@pytest.mark.slow
@local_actors()
def test_training_on_all_runs_sees_each_post_once(next_day: Path, small: Callable[..., Settings]) -> None:
    settings = small("training.epochs=1", "workers.cpus=1")
    result = train(str(next_day / "run"), settings, system="bert-crf", name="all", with_earlier=True, quiet=True)
    identity = json.loads((next_day / "run" / result.folder / "identity.json").read_text())
    assert len(identity["input"]["files"]) == 11
