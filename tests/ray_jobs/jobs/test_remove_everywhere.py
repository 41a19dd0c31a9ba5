"""After `amia remove`, no file of a run holds a removed post, and every job goes on with the others."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from amia.errors import IdentityError
from amia.mixing.arms import CONTROLS
from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.evaluate import evaluate
from ray_jobs.jobs.export import export
from ray_jobs.jobs.gc import collect
from ray_jobs.jobs.ingest import ingest
from ray_jobs.jobs.predict import predict
from ray_jobs.jobs.remove import RemoveResult, remove_posts
from ray_jobs.jobs.report import report
from ray_jobs.jobs.status import status
from ray_jobs.settings.job import Settings
from ray_jobs.storage.combined import CombinedStore
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store
from tests.helpers.drivers import assert_equal_files, read_files

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_stages")]

Row = dict[str, Any]
PREDICT = ("pools.predict.max=1", "prediction.micro_batch=4", "prediction.device=cpu")
FAULT = {"stage": "posts", "shard": "x", "host": "h", "node": "n", "pid": 1, "cause": "ValueError: {}", "time": 0.0}


def read_rows(run: Path, folder: str) -> list[Row]:
    """Return the rows of all shards of a folder."""
    return [row for file in sorted((run / folder).glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def values_of(run: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the bytes of every file, and every value of the Parquet files, which are compressed."""
    for file in sorted(path for path in run.rglob("*") if path.is_file()):
        key = str(file.relative_to(run))
        yield key, file.read_bytes()
        if file.suffix == ".parquet":
            for row in pq.read_table(file).to_pylist():
                yield from ((key, value) for value in leaves(row))


def leaves(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)
    elif isinstance(value, bytes | str):
        yield value if isinstance(value, bytes) else value.encode()


@pytest.fixture(scope="module")
def gone(controls: Path) -> list[Row]:
    """Posts to remove: of the bank, of other shards and splits, all with an image and a text of their own."""
    rows = read_rows(controls, "posts")
    texts = [row["text"] for row in rows]
    unique = [row for row in rows if row["image_status"] == "ok" and sum(row["text"] in text for text in texts) == 1]
    by_split = {split: [row for row in unique if row["split"] == split] for split in ("train", "validation", "test")}
    return [*by_split["train"][:2], *by_split["train"][-2:], by_split["validation"][0], by_split["test"][0]]


@pytest.fixture(scope="module")
def full(
    controls: Path, tiny: Path, small: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A run with everything that a run may hold, and the folder that it was exported to."""
    run, exported = tmp_path_factory.mktemp("full") / "run", tmp_path_factory.mktemp("exported") / "umt"
    shutil.copytree(controls, run)
    shutil.copytree(tiny, run / "models" / "tiny")
    (run / "models" / "tiny" / "training.json").write_text("{}")
    for arm, swap_images in (("adaptive", False), ("adaptive", True), ("random", False)):
        predict(str(run), small(*PREDICT), model="tiny", arm=arm, swap_images=swap_images, quiet=True)
        evaluate(str(run), small(*PREDICT), model="tiny", arm=arm, swap_images=swap_images, quiet=True)
    export(str(run), small(), layout="umt", to=str(run / "exported"), quiet=True)
    export(str(run), small(), layout="umt", to=str(exported), quiet=True)
    (run / "models" / "tiny" / "training.json").unlink()  # the report describes trained ones only
    report(str(run))
    (run / "models" / "tiny" / "training.json").write_text("{}")
    return run, exported


@pytest.fixture(scope="module")
def removed(
    full: tuple[Path, Path], gone: list[Row], small: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RemoveResult]:
    """The same run after the removal, with a quarantined row and errors that quote a removed post."""
    run = tmp_path_factory.mktemp("removed") / "run"
    shutil.copytree(full[0], run)
    plan = json.loads((run / "plan.json").read_text())
    (run / "plan.json").write_text(json.dumps(plan | {"rejected": plan["rejected"] + 2}))
    (run / "quarantine").mkdir(exist_ok=True)
    rows = [{"where": "a:1", "id": post_id, "reason": "duplicate id"} for post_id in (gone[0]["id"], "other")]
    (run / "quarantine" / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    line = json.loads(next((run / "log").glob("*.jsonl")).read_text().splitlines()[0])
    line |= {"failures": {"image=bad_image(empty)": {"posts": 2, "ids": [gone[0]["id"], "other"]}}}
    (run / "log" / "y-posts.jsonl").write_text(json.dumps(line) + "\n")
    (run / "log" / "y-posts-error.txt").write_text(gone[0]["text"])
    fault = FAULT | {"cause": f"ValueError: {gone[0]['text']}", "traceback": gone[0]["text"]}
    (run / "log" / "y-faults.json").write_text(json.dumps([fault]))
    (run / "scratch" / "old").mkdir(parents=True)
    (run / "scratch" / "old" / "rows.arrow").write_text(gone[0]["text"])
    (run / "notes.txt").write_text("mine")
    return run, remove_posts(Store(run), [row["id"] for row in gone], small(), quiet=True)


@pytest.mark.promise(40)
def test_no_byte_of_a_removed_post_is_in_the_run(
    full: tuple[Path, Path], removed: tuple[Path, RemoveResult], gone: list[Row]
) -> None:
    run, ids = full[0], {row["id"] for row in gone}
    secrets = {row["text"].encode() for row in gone} | {row["image"]["bytes"] for row in gone}
    arms = {path.name for path in (run / "augmented").iterdir()} - {"random"}  # which shows images of other posts
    for folder in ("synthesized", *(f"augmented/{arm}" for arm in arms)):
        for row in read_rows(run, folder):
            image = row["image"]["bytes"] if isinstance(row["image"], dict) else row["image"]
            secrets |= {image} if row["id"] in ids and image else set()
    for row in read_rows(run, "embeddings"):
        if row["id"] in ids:
            secrets |= {row[f"{part}_{kind}"] for part in ("text", "image") for kind in ("vector", "key")}
    kept = {row["text"].encode() for row in read_rows(run, "posts") if row["id"] not in ids}
    assert len(secrets) > 50
    assert not secrets & kept
    found_before = {key for key, value in values_of(run) if value in secrets or any(s in value for s in secrets)}
    assert {key.partition("/")[0] for key in found_before} >= {"posts", "augmented", "predictions"}
    after = list(values_of(removed[0]))
    assert {key for key, value in after if any(secret in value for secret in secrets)} == set()
    assert {key for key, value in after if value.decode("utf-8", "replace") in ids} == set()
    quoted = [f'"{post_id}"'.encode() for post_id in ids]
    assert {key for key, value in after if any(name in value for name in quoted)} == set()


def test_result_names_what_it_could_not_reach(
    full: tuple[Path, Path], removed: tuple[Path, RemoveResult], amia: Callable[..., tuple[int, str, str]]
) -> None:
    run, result = removed
    assert result.posts == {"train": 4, "validation": 1, "test": 1}
    assert (result.models, result.foreign) == (["tiny"], ["notes.txt"])
    assert str(full[1]) in result.exports
    assert (result.again, result.rejected, result.bank) == (["random"], 1, 4)
    assert not (run / "exported").exists()
    assert json.loads((run / "quarantine" / "x.jsonl").read_text())["id"] == "other"
    (run / "ids.txt").write_text("6\n\nno-such-id\r\n")
    code, stdout, _ = amia("remove", run, "--ids", run / "ids.txt")
    assert (code, "2 ids are in no run: 6, no-such-id" in stdout) == (0, True)
    assert "6 posts removed" in amia("status", run)[1]
    (run / "ids.txt").unlink()


@pytest.mark.promise(40)
def test_every_job_goes_on(
    removed: tuple[Path, RemoveResult],
    full: tuple[Path, Path],
    gone: list[Row],
    small: Callable[..., Settings],
    copied: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    run = copied(removed[0])
    finished = {"two-sided", "adaptive", "original", *CONTROLS} - {"random"}
    assert set(status(str(run))["finished"]) == finished
    before = read_files(run)
    augment(str(run), small(), arms=("two-sided", *CONTROLS, "cosine", "adaptive"), accept_mixture=True, quiet=True)
    after = read_files(run)
    assert {key: after[key] for key in before} == before, "what was published stays"
    assert {key.split("/")[1] for key in after.keys() - before.keys()} == {"random", "cosine"}
    assert [row["id"] for row in read_rows(run, "augmented/cosine")] == [row["id"] for row in read_rows(run, "posts")]
    predictions = read_files(run, "predictions")
    assert set(predictions) >= {key for key in predictions if "/adaptive/" in key}
    result = predict(str(run), small(*PREDICT), model="tiny", quiet=True)
    assert result.posts == 90
    assert {key: read_files(run, "predictions")[key] for key in predictions} == predictions, "none was predicted again"
    for arm, swap_images in (("adaptive", False), ("adaptive", True), ("random", False)):
        scores = evaluate(str(run), small(*PREDICT), model="tiny", arm=arm, swap_images=swap_images, quiet=True)
        assert scores.posts + scores.unlabeled == 13
    seen = {row["seen"] for row in read_rows(run, "predictions/tiny/adaptive-swapped")}
    assert seen.isdisjoint({row["id"] for row in gone})
    summary = export(str(run), small(), layout="umt", to=str(tmp_path / "umt"), quiet=True)
    assert summary.arms["adaptive"].total == 90
    with pytest.raises(IdentityError):
        export(str(run), small(), layout="umt", to=str(full[1]), quiet=True)
    (run / "models" / "tiny" / "training.json").unlink()
    page = report(str(run))
    assert page.posts == 90
    text = (run / "report.html").read_text()
    assert "posts at ingest = rows of the arm + removed posts" in text
    assert "Please report this as a bug" not in text
    collect(str(run))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    datasets.disable_progress_bars()
    loaded = datasets.load_dataset(str(run / "augmented" / "adaptive"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 64, "validation": 13, "test": 13}
    assert not {row["id"] for row in gone} & {post_id for rows in loaded.values() for post_id in rows["id"]}


def test_ingesting_the_source_again_does_not_bring_posts_back(
    corpus: Path, removed: tuple[Path, RemoveResult], gone: list[Row], small: Callable[..., Settings], copied: Any
) -> None:
    run = copied(removed[0])
    assert ingest(str(corpus), str(run), small("max_failed=1"), quiet=True).plan.total == 90
    assert_equal_files(run, removed[0], "posts")
    shutil.rmtree(run / "posts")
    (run / "posts").mkdir()
    shutil.copy(removed[0] / "posts" / "identity.json", run / "posts")
    assert ingest(str(corpus), str(run), small("max_failed=1"), quiet=True).counts.total() == 90
    assert_equal_files(run, removed[0], "posts")


def test_whole_shards_and_splits_can_be_removed_one_after_the_other(
    augmented: Path, small: Callable[..., Settings], copied: Callable[..., Path]
) -> None:
    run = copied(augmented)
    rows = read_rows(run, "posts")
    validation = [row["id"] for row in rows if row["split"] == "validation"]
    train = [row["id"] for row in rows if row["split"] == "train"]
    for ids in (validation[:1], [*validation, *train[12:24]], train[:1], train[1:2]):
        remove_posts(Store(run), ids, small(), quiet=True)
    plan = Plan.find(Store(run))
    assert plan is not None
    assert (plan.total, plan.ingested, plan.posts.keys()) == (68, 96, {"train", "test"})
    assert plan.removal is not None
    assert (plan.removal.number, plan.removal.total) == (4, 28)
    assert plan.shards_of("train")[:2] == ["train-00000-of-00006-r4", "train-00002-of-00006"]
    assert [row["id"] for row in read_rows(run, "posts")] == [
        row["id"] for row in rows if row["split"] != "validation" and row["id"] not in {*train[:2], *train[12:24]}
    ]
    augment(str(run), small(), arms=("cosine", "adaptive"), accept_mixture=True, quiet=True)
    assert report(str(run)).posts == 68


@pytest.mark.promise(40)
def test_runs_that_came_before_lose_the_posts_too(
    cluster: None, small: Callable[..., Settings], tmp_path: Path, amia: Callable[..., tuple[int, str, str]]
) -> None:
    days = [[f"{day}{number}" for number in range(30)] for day in "ab"]
    for number, ids in enumerate(days):
        (tmp_path / f"day{number}").mkdir()
        lines = [json.dumps({"id": post_id, "text": f"text of {post_id}"}) for post_id in ids]
        (tmp_path / f"day{number}" / "posts.jsonl").write_text("\n".join(lines))
    first, second, settings = tmp_path / "run0", tmp_path / "run1", small("per_shard=8")
    ingest(str(tmp_path / "day0"), str(first), settings, quiet=True)
    ingest(str(tmp_path / "day1"), str(second), settings, since=str(first), quiet=True)
    for run in (first, second):
        augment(str(run), settings, arms=("text",), quiet=True)
    (tmp_path / "ids.txt").write_text("a1\nb2\nb3\nc4\n")
    code, stdout, _ = amia("remove", second, "--ids", tmp_path / "ids.txt")
    assert (code, "1 ids are in no run: c4" in stdout) == (0, True)
    assert [len(read_rows(run, "posts")) for run in (first, second)] == [29, 28]
    assert Plan.find(CombinedStore(str(second))).total == 57  # type: ignore[union-attr]  # there is a plan
    listed = json.loads((second / "augmented" / "text" / "data_files.json").read_text())["train"]
    assert sum(pq.read_table(file).num_rows for file in listed) == 57
    assert report(str(second), "text", with_earlier=True).posts == 57
    (tmp_path / "day0" / "posts.jsonl").rename(tmp_path / "day1" / "again.jsonl")
    result = ingest(str(tmp_path / "day1"), str(tmp_path / "run2"), settings, since=str(second), quiet=True)
    assert (result.plan.total, result.plan.known) == (0, 60), "removed posts stay known"
