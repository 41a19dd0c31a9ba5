"""Corpora of bad rows through the real jobs: each row ends in its status, and the good ones never notice."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_jobs.jobs.augment import AugmentResult, augment
from ray_jobs.jobs.ingest import IngestResult, ingest
from ray_jobs.settings.job import Settings
from tests.hostile.corpora import CORPORA, SECRET, Corpus, Row
from tests.hostile.images import ARMED, IMAGES

MEASURED = {"theta", "ratio", "loss", "loss_i2t", "loss_t2i", "cosine"}

Amia = Callable[..., tuple[int, str, str]]
Make = Callable[..., Settings]
Post = dict[str, Any]

ALONE = ("clip.micro_batch=1", "generator.micro_batch=1")
"""No post shares a batch with another, so that not a bit of it depends on who else is there."""


def ingested(
    write: Callable[..., Corpus], folder: Path, settings: Settings, *, bad: bool
) -> tuple[Corpus, IngestResult]:
    corpus = write(folder, bad=bad)
    return corpus, ingest(str(corpus.source), str(folder / "run"), settings, quiet=True)


def posts(run: Path, stage: str = "posts") -> Iterator[Post]:
    for file in sorted((run / stage).glob("*.parquet")):
        yield from pq.read_table(file).to_pylist()


def of(row: Row, found: list[Post]) -> Post:
    """The post that a row became."""
    name, value = ("text", row.text) if row.id is None else ("id", row.id)
    return next(post for post in found if post[name] == value)


def quarantine(run: Path) -> list[Post]:
    files = sorted((run / "quarantine").glob("*.jsonl")) if (run / "quarantine").is_dir() else []
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").split("\n") if line]


def outside(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder but the run: a job has nothing to write there."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() and path.stat().st_size < 10**9 else None
        for path in folder.rglob("*")
        if not path.is_relative_to(folder / "run")
    }


def holds(folder: Path, secret: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()]


@pytest.mark.promise(19, 20, 34)
@pytest.mark.parametrize("kind", CORPORA)
def test_every_row_ends_in_its_one_status_and_good_rows_are_unharmed(
    cluster: None, small: Make, tmp_path: Path, kind: str
) -> None:
    settings = small("per_shard=64")
    corpus, done = ingested(CORPORA[kind], tmp_path / "mixed", settings, bad=True)
    run = tmp_path / "mixed" / "run"
    found, rejected = list(posts(run)), quarantine(run)
    assert len(found) == done.plan.total == done.counts.total()
    assert len(rejected) == done.plan.rejected
    assert len(found) + len(rejected) == len(corpus.rows)
    ids = {row["id"]: row for row in found}
    assert len(ids) == len(found), "two posts of one id"
    for row in corpus.rows:
        if row.expected.rejected is not None:
            entries = [each for each in rejected if row.where == each["where"] or (row.id and row.id == each["id"])]
            assert any(row.expected.rejected in each["reason"] for each in entries), row.where
            continue
        post = of(row, found)
        assert post["image_status"] == row.expected.image, row.where
        assert post["text"] == row.text, row.where
    expected = Counter(f"image={row.expected.image}" for row in corpus.rows if row.expected.rejected is None)
    assert done.counts == expected
    assert not holds(run, SECRET)
    # Alone, the good ones are the same to the byte.
    good, _ = ingested(CORPORA[kind], tmp_path / "good", settings, bad=False)
    alone = {row["id"]: row for row in posts(tmp_path / "good" / "run")}
    assert len(alone) == len(good.rows) > 20
    assert {post_id: ids[post_id] for post_id in alone} == alone


@pytest.mark.promise(19, 20, 34)
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", CORPORA)
def test_bad_rows_are_augmented_with_what_is_left_of_them(
    cluster: None, small: Make, tmp_path: Path, kind: str
) -> None:
    settings = small("per_shard=64", "image.size=32", *ALONE)
    corpora, results, before = {}, {}, {}
    for name, bad in (("mixed", True), ("good", False)):
        folder = tmp_path / name
        corpora[name], _ = ingested(CORPORA[kind], folder, settings, bad=bad)
        before[name] = outside(folder)
        results[name] = augment(str(folder / "run"), settings, mixture=settings.shipped_mixture, quiet=True)
        assert outside(folder) == before[name]
    rows = list(posts(tmp_path / "mixed" / "run", "augmented/adaptive"))
    expected = [row for row in corpora["mixed"].rows if row.expected.rejected is None]
    counted(results["mixed"], len(expected))
    assert len(rows) == len(expected)
    for row in expected:
        found = of(row, rows)
        assert (found["text"], found["image_status"], found["synthesis_status"]) == (
            row.text,
            row.expected.image,
            row.expected.synthesis,
        ), row.where
        pictured, drawn = row.expected.image == "ok", row.expected.synthesis == "ok"
        assert (found["image"] is not None) == (pictured or drawn)
        assert (found["theta"] > 0) <= pictured
        share = {(False, False): None, (False, True): 0.0, (True, False): 1.0}
        assert found["ratio"] == share.get((pictured, drawn), found["ratio"])
        assert (found["loss"] is None) == (not pictured)
    good = {row["id"]: row for row in posts(tmp_path / "good" / "run", "augmented/adaptive")}
    assert len(good) > 20
    ids = {row["id"]: row for row in rows}
    for post_id, alone in good.items():
        among = ids[post_id]
        assert [name for name in alone.keys() - MEASURED - {"image"} if among[name] != alone[name]] == []
        # A row's place in a product of matrices shows in its last bit.
        assert all(among[name] == pytest.approx(alone[name], abs=1e-6) for name in MEASURED)
        assert among["ratio"] != alone["ratio"] or among["image"] == alone["image"]
    assert sum(ids[post_id]["image"] == alone["image"] for post_id, alone in good.items()) > 0.9 * len(good)
    assert not holds(tmp_path / "mixed" / "run", SECRET)
    # What some program would run is in the files of posts whose image was good, and nowhere in what came of them.
    assert any(ARMED in data for data, status in IMAGES.values() if status == "ok")
    assert not holds(tmp_path / "mixed" / "run" / "augmented", ARMED)


def refused(folder: Path, kind: str) -> str:
    """A source that nothing of is read, and what the person is told of it."""
    folder.mkdir()
    match kind:
        case "a pickled column":
            told = {
                "ARROW:extension:name": "ray.data.arrow_pickled_object",
                "ARROW:extension:metadata": b"cos\nsystem\n",
            }
            schema = pa.schema([pa.field("text", pa.string()), pa.field("image", pa.binary(), metadata=told)])
            pq.write_table(pa.table([["a"], [b"x"]], schema=schema), folder / "x.parquet")
            return "x.parquet: a column has an Arrow extension type"
        case "an archive of junk":
            (folder / "x.tar").write_bytes(b"<html>404</html>" * 99)
            return "x.tar: the archive is damaged or cut off"
        case "a list that leads elsewhere":
            (folder / "state.json").write_text('{"_data_files": [{"filename": "/etc/passwd"}]}')
            return "passwd: listed in state.json, but not there"
        case "a pipe":
            os.mkfifo(folder / "posts.jsonl")
            return "posts.jsonl: a pipe, a device or a link to nowhere"
    (folder / "posts.jsonl").write_bytes(b"[" * 100_000 + b'\n{"text": ""}\n')
    return "no post in it (2 rows rejected"


@pytest.mark.promise(31)
@pytest.mark.parametrize(
    "kind", ["a pickled column", "an archive of junk", "a list that leads elsewhere", "a pipe", "not one good row"]
)
def test_a_source_that_is_refused_as_a_whole(amia: Amia, tmp_path: Path, kind: str) -> None:
    said = refused(tmp_path / "posts", kind)
    code, _, complained = amia("ingest", tmp_path / "posts", "--run", tmp_path / "run", "--config", "demo")
    assert code == 3
    assert complained.startswith("error: ")
    assert said in complained
    assert "Traceback" not in complained
    assert not any((tmp_path / "run" / stage).exists() for stage in ("plan.json", "posts"))


def counted(result: AugmentResult, total: int) -> None:
    """The accounting of the manifest is whole."""
    assert result.posts == total
    assert {arm: counts.total() for arm, counts in result.counts.items()} == {"adaptive": total}
