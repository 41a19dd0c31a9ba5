"""`ingest` on real Ray: the same posts give the same shards, whatever files they came in, and nothing is lost."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from webdataset import TarWriter

from amia.errors import CorpusError, IdentityError
from ray_jobs.jobs.ingest import ingest
from ray_jobs.settings.job import Settings
from tests.helpers.drivers import assert_equal_files, file_stamps, read_files
from tests.helpers.paths import TWEETS

ODD = ["RT", "@", "user", ":", "a\u00a0b", "\ufe0f", "x\u2028y", "\u200b", "née", "😀", "…"]
"""Tokens as tweets have them; several look like white space and are none."""

Post = dict[str, Any]


def picture(number: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (8, 8), (number * 7 % 256, number * 13 % 256, 99)).save(data, "PNG")
    return data.getvalue()


@pytest.fixture(scope="module")
def posts() -> list[Post]:
    """Sixty posts in two splits, each with odd tokens, tags as read and an image inside the source."""
    return [
        {
            "id": f"p{number}",
            "split": "test" if number % 7 == 0 else "train",
            "tokens": [*ODD, f"word{number}"],
            "tags": ["O"] * len(ODD) + ["I-OTHER" if number % 5 == 0 else "B-PER"],
            "image": picture(number),
        }
        for number in range(60)
    ]


def as_parquet(folder: Path, posts: list[Post], files: int = 1) -> Path:
    folder.mkdir()
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    for part in range(files):
        rows = [{**post, "image": {"bytes": post["image"], "path": None}} for post in posts[part::files]]
        schema = pa.schema(
            {"id": pa.string(), "split": pa.string(), "tokens": pa.list_(pa.string())}
            | {"tags": pa.list_(pa.string()), "image": image}
        )
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"part-{part}.parquet")
    return folder


def as_jsonl(folder: Path, posts: list[Post]) -> Path:
    (folder / "images").mkdir(parents=True)
    with (folder / "posts.jsonl").open("w", encoding="utf-8") as file:
        for post in posts:
            (folder / "images" / f"{post['id']}.png").write_bytes(post["image"])
            file.write(json.dumps({**post, "image": f"images/{post['id']}.png"}) + "\n")
    return folder


def as_tar(folder: Path, posts: list[Post]) -> Path:
    folder.mkdir()
    with TarWriter(str(folder / "posts.tar")) as tar:
        for post in posts:
            about = {name: post[name] for name in ("id", "split", "tokens", "tags")}
            tar.write({"__key__": post["id"], "png": post["image"], "json": about})
    return folder


def rows(run: Path) -> list[Post]:
    return [row for file in sorted((run / "posts").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


@pytest.fixture
def settings(small: Callable[..., Settings]) -> Settings:
    return small("per_shard=8", "pools.fetch.max=2", "pools.fetch.lease=2")


@pytest.fixture(scope="module")
def reference(
    cluster: None, posts: list[Post], small: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    ingest(str(as_parquet(folder / "source", posts)), str(folder / "run"), small("per_shard=8"), quiet=True)
    return folder / "run"


def test_tokens_tags_and_bytes_come_out_as_they_went_in(reference: Path, posts: list[Post]) -> None:
    found = {row["id"]: row for row in rows(reference)}
    assert found.keys() == {post["id"] for post in posts}
    for post in posts:
        row = found[post["id"]]
        assert (row["tokens"], row["tags"], row["split"]) == (post["tokens"], post["tags"], post["split"])
        assert row["ner_tags"][-1] in {"B-MISC", "B-PER"}
        assert (row["image"]["bytes"], row["image_status"]) == (post["image"], "ok")
        assert row["text"] == " ".join(post["tokens"])


def test_the_plan_does_not_depend_on_files_or_their_order(
    reference: Path, posts: list[Post], settings: Settings, tmp_path: Path
) -> None:
    source = as_parquet(tmp_path / "source", posts[::-1], files=5)
    ingest(str(source), str(tmp_path / "run"), settings.model_copy(update={"bucket_mb": 1}), quiet=True)
    assert_equal_files(reference, tmp_path / "run", "posts")


def test_other_formats_give_the_same_posts(
    reference: Path, posts: list[Post], settings: Settings, tmp_path: Path
) -> None:
    names = ("id", "split", "text", "tokens", "tags", "ner_tags", "image_status")

    def told(run: Path) -> list[Post]:
        found = [{**{name: row[name] for name in names}, "bytes": row["image"]["bytes"]} for row in rows(run)]
        return sorted(found, key=lambda row: row["id"])

    for name, write in (("jsonl", as_jsonl), ("tar", as_tar)):
        ingest(str(write(tmp_path / name, posts)), str(tmp_path / f"run-{name}"), settings, quiet=True)
        assert told(tmp_path / f"run-{name}") == told(reference)


def test_a_second_call_touches_nothing_and_other_input_is_refused(
    reference: Path, posts: list[Post], settings: Settings, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(reference, run)
    before = file_stamps(run)
    same_posts = as_parquet(tmp_path / "elsewhere", posts, files=3)
    assert ingest(str(same_posts), str(run), settings, quiet=True).counts.total() == 60
    assert file_stamps(run) == before
    other = as_parquet(tmp_path / "other", posts[:-1])
    with pytest.raises(IdentityError, match="another corpus"):
        ingest(str(other), str(run), settings, quiet=True)
    with pytest.raises(IdentityError, match="per_shard: 8 in the run, 4 now"):
        ingest(str(same_posts), str(run), settings.model_copy(update={"per_shard": 4}), quiet=True)
    assert file_stamps(run) == before
    assert not (run / "scratch").exists()


def test_what_is_no_post_is_kept_with_its_reason(cluster: None, settings: Settings, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    lines = [
        json.dumps({"id": "a", "text": "one"}),
        json.dumps({"id": "a", "text": "two"}),
        json.dumps({"id": "b", "text": "  "}),
        json.dumps({"id": "c", "tokens": ["x"], "tags": ["Q"]}),
        "{not json",
        json.dumps({"text": "no id"}),
        json.dumps({"text": "no id"}),
        json.dumps({"id": "gone", "text": "its image is gone", "image": "gone.jpg"}),
        json.dumps({"id": "out", "text": "its image lies elsewhere", "image": "../secret.jpg"}),
    ]
    (source / "posts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    done = ingest(str(source), str(tmp_path / "run"), settings, quiet=True)
    assert (done.plan.total, done.plan.rejected) == (5, 4)
    assert done.plan.total + done.plan.rejected == len(lines)
    rejected = [
        json.loads(line)
        for file in (tmp_path / "run" / "quarantine").iterdir()
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    assert {(each["where"].rpartition(":")[2], bool(each["reason"])) for each in rejected} == {
        *(("3", True), ("4", True), ("5", True)),
        max((each["where"].rpartition(":")[2], True) for each in rejected if each["reason"] == "duplicate id"),
    }
    found = {row["id"]: row["image_status"] for row in rows(tmp_path / "run")}
    assert {found["gone"], found["out"]} == {"bad_image(missing)", "bad_image(outside_root)"}
    unnamed = sorted(post_id for post_id in found if post_id not in {"a", "gone", "out"})
    assert unnamed[1] == f"{unnamed[0]}-1"


def test_the_hand_written_tweets_come_through(cluster: None, settings: Settings, tmp_path: Path) -> None:
    done = ingest(str(TWEETS), str(tmp_path / "run"), settings, quiet=True)
    assert done.plan.posts == {"train": 5, "validation": 3, "test": 3}
    assert done.counts == {
        "image=ok": 6,
        "image=no_image": 2,
        "image=bad_image(empty)": 1,
        "image=bad_image(not_an_image)": 1,
        "image=bad_image(truncated)": 1,
    }
    assert done.plan.repaired == 4
    assert len(read_files(tmp_path / "run", "posts")) == 4  # three splits of one shard, and the identity


def test_a_source_without_posts_is_refused(cluster: None, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("\n\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="no posts found"):
        ingest(str(tmp_path), str(tmp_path / "run"), settings, quiet=True)
