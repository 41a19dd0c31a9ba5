"""Corpora with bad rows through the real jobs: each row gets its status, and good rows are unaffected."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_jobs.jobs.augment import AugmentResult, augment
from ray_jobs.jobs.ingest import IngestResult, ingest
from ray_jobs.settings.job import Settings
from tests.helpers.buckets import upload
from tests.hostile.corpora import CORPORA, SECRET, Corpus, Row
from tests.hostile.images import IMAGES, MARKER
from tests.hostile.rows import ONLY_ON_DISK, Expected

SCORE_COLUMNS = {"theta", "ratio", "loss", "loss_i2t", "loss_t2i", "cosine"}

Amia = Callable[..., tuple[int, str, str]]
Make = Callable[..., Settings]
Post = dict[str, Any]

SINGLE_POST_BATCHES = ("clip.micro_batch=1", "generator.micro_batch=1")
"""No post shares a batch with another, so that no bit of it depends on other posts."""


def write_and_ingest(
    write: Callable[..., Corpus], folder: Path, settings: Settings, *, bad: bool, bucket: str | None = None
) -> tuple[Corpus, IngestResult]:
    """Write a corpus into a folder and ingest it from there, or from a bucket that also holds its secrets."""
    corpus = write(folder, bad=bad)
    source = str(corpus.source)
    if bucket is not None:
        source = f"{upload(folder, f'{bucket}/{folder.parent.name}/{folder.name}')}/{corpus.source.name}"
        corpus = Corpus(corpus.source, [replace(row, expected=expected_in_bucket(row)) for row in corpus.rows])
    return corpus, ingest(source, str(folder / "run"), settings, quiet=True)


def expected_in_bucket(row: Row) -> Expected:
    """Return the result of a row whose image may be a link, a folder or a device, which a bucket does not hold."""
    absent = {f"path {path}" for path in ONLY_ON_DISK}
    if row.id in {"c17", "c18", "c19", "\x1b[2J"}:  # CoNLL finds images by the listing
        return replace(row.expected, image="no_image")
    return replace(row.expected, image="bad_image(missing)") if row.id in absent else row.expected


def read_posts(run: Path, stage: str = "posts") -> Iterator[Post]:
    for file in sorted((run / stage).glob("*.parquet")):
        yield from pq.read_table(file).to_pylist()


def find_post(row: Row, posts: list[Post]) -> Post:
    """Return the post of a row."""
    name, value = ("text", row.text) if row.id is None else ("id", row.id)
    return next(post for post in posts if post[name] == value)


def read_quarantine(run: Path) -> list[Post]:
    files = sorted((run / "quarantine").glob("*.jsonl")) if (run / "quarantine").is_dir() else []
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").split("\n") if line]


def files_outside_run(folder: Path) -> dict[str, bytes | None]:
    """Return all files of a folder outside the run, where a job must not write."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() and path.stat().st_size < 10**9 else None
        for path in folder.rglob("*")
        if not path.is_relative_to(folder / "run")
    }


def files_with(folder: Path, content: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and content in path.read_bytes()]


@pytest.mark.promise(19, 20, 34)
@pytest.mark.usefixtures("cluster", "in_this_process")
@pytest.mark.parametrize("place", ["folder", "bucket"])
@pytest.mark.parametrize("kind", CORPORA)
def test_every_row_gets_its_status(
    small: Make, tmp_path: Path, kind: str, place: str, request: pytest.FixtureRequest
) -> None:
    settings = small("per_shard=64")
    bucket = request.getfixturevalue("bucket") if place == "bucket" else None
    corpus, result = write_and_ingest(CORPORA[kind], tmp_path / "mixed", settings, bad=True, bucket=bucket)
    run = tmp_path / "mixed" / "run"
    posts, rejected = list(read_posts(run)), read_quarantine(run)
    assert len(posts) == result.plan.total == result.counts.total()
    assert len(rejected) == result.plan.rejected
    assert len(posts) + len(rejected) == len(corpus.rows)
    ids = {row["id"]: row for row in posts}
    assert len(ids) == len(posts), "two posts have the same id"
    for row in corpus.rows:
        if row.expected.rejected is not None:
            entries = [
                entry for entry in rejected if row.location == entry["where"] or (row.id and row.id == entry["id"])
            ]
            assert any(row.expected.rejected in entry["reason"] for entry in entries), row.location
            continue
        post = find_post(row, posts)
        assert post["image_status"] == row.expected.image, row.location
        assert post["text"] == row.text, row.location
    expected = Counter(f"image={row.expected.image}" for row in corpus.rows if row.expected.rejected is None)
    assert result.counts == expected
    assert not files_with(run, SECRET)
    # Without bad rows, the good rows give the same bytes.
    good, _ = write_and_ingest(CORPORA[kind], tmp_path / "good", settings, bad=False, bucket=bucket)
    good_posts = {row["id"]: row for row in read_posts(tmp_path / "good" / "run")}
    assert len(good_posts) == len(good.rows) > 20
    assert {post_id: ids[post_id] for post_id in good_posts} == good_posts


@pytest.mark.promise(19, 20, 34)
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", CORPORA)
def test_bad_rows_are_augmented(cluster: None, small: Make, tmp_path: Path, kind: str) -> None:
    settings = small("per_shard=64", "image.size=32", *SINGLE_POST_BATCHES)
    corpora, results, before = {}, {}, {}
    for name, bad in (("mixed", True), ("good", False)):
        folder = tmp_path / name
        corpora[name], _ = write_and_ingest(CORPORA[kind], folder, settings, bad=bad)
        before[name] = files_outside_run(folder)
        results[name] = augment(str(folder / "run"), settings, mixture=settings.shipped_mixture, quiet=True)
        assert files_outside_run(folder) == before[name]
    rows = list(read_posts(tmp_path / "mixed" / "run", "augmented/adaptive"))
    expected = [row for row in corpora["mixed"].rows if row.expected.rejected is None]
    check_accounting(results["mixed"], len(expected))
    assert len(rows) == len(expected)
    for row in expected:
        post = find_post(row, rows)
        assert (post["text"], post["image_status"], post["synthesis_status"]) == (
            row.text,
            row.expected.image,
            row.expected.synthesis,
        ), row.location
        has_image, is_synthesized = row.expected.image == "ok", row.expected.synthesis == "ok"
        assert (post["image"] is not None) == (has_image or is_synthesized)
        assert (post["theta"] > 0) <= has_image
        ratios = {(False, False): None, (False, True): 0.0, (True, False): 1.0}
        assert post["ratio"] == ratios.get((has_image, is_synthesized), post["ratio"])
        assert (post["loss"] is None) == (not has_image)
    good = {row["id"]: row for row in read_posts(tmp_path / "good" / "run", "augmented/adaptive")}
    assert len(good) > 20
    ids = {row["id"]: row for row in rows}
    for post_id, good_post in good.items():
        mixed_post = ids[post_id]
        assert [
            name for name in good_post.keys() - SCORE_COLUMNS - {"image"} if mixed_post[name] != good_post[name]
        ] == []
        # The last bit depends on the row's position in a matrix product.
        assert all(mixed_post[name] == pytest.approx(good_post[name], abs=1e-6) for name in SCORE_COLUMNS)
        assert mixed_post["ratio"] != good_post["ratio"] or mixed_post["image"] == good_post["image"]
    assert sum(ids[post_id]["image"] == good_post["image"] for post_id, good_post in good.items()) > 0.9 * len(good)
    assert not files_with(tmp_path / "mixed" / "run", SECRET)
    # Payloads that a program might execute are in image files that decode, and must not reach the augmented images.
    assert any(MARKER in data for data, status in IMAGES.values() if status == "ok")
    assert not files_with(tmp_path / "mixed" / "run" / "augmented", MARKER)


def write_unreadable_source(folder: Path, kind: str) -> str:
    """Write a source that is refused as a whole. Returns the expected part of the error message."""
    folder.mkdir()
    match kind:
        case "a pickled column":
            metadata = {
                "ARROW:extension:name": "ray.data.arrow_pickled_object",
                "ARROW:extension:metadata": b"cos\nsystem\n",
            }
            schema = pa.schema([pa.field("text", pa.string()), pa.field("image", pa.binary(), metadata=metadata)])
            pq.write_table(pa.table([["a"], [b"x"]], schema=schema), folder / "x.parquet")
            return "x.parquet: a column has an Arrow extension type"
        case "an archive of junk":
            (folder / "x.tar").write_bytes(b"<html>404</html>" * 99)
            return "x.tar: the archive is damaged or truncated"
        case "a list that leads elsewhere":
            (folder / "state.json").write_text('{"_data_files": [{"filename": "/etc/passwd"}]}')
            return "passwd: listed in state.json, but missing"
        case "a pipe":
            os.mkfifo(folder / "posts.jsonl")
            return "posts.jsonl: a pipe, a device or a broken link"
    (folder / "posts.jsonl").write_bytes(b"[" * 100_000 + b'\n{"text": ""}\n')
    return "no posts found (2 rows rejected"


@pytest.mark.promise(31)
@pytest.mark.parametrize(
    "kind", ["a pickled column", "an archive of junk", "a list that leads elsewhere", "a pipe", "not one good row"]
)
def test_unreadable_source_is_refused(amia: Amia, tmp_path: Path, kind: str) -> None:
    message = write_unreadable_source(tmp_path / "posts", kind)
    code, _, stderr = amia("ingest", tmp_path / "posts", "--run", tmp_path / "run", "--config", "demo")
    assert code == 3
    assert stderr.startswith("error: ")
    assert message in stderr
    assert "Traceback" not in stderr
    assert not any((tmp_path / "run" / stage).exists() for stage in ("plan.json", "posts"))


def check_accounting(result: AugmentResult, total: int) -> None:
    """Check that every post is counted."""
    assert result.posts == total
    assert {arm: counts.total() for arm, counts in result.counts.items()} == {"adaptive": total}
