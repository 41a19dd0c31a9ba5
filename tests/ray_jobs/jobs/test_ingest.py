"""`ingest` on real Ray: equal posts give equal shards from any files, and no row is lost."""

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
from ray_jobs.jobs import first_pass
from ray_jobs.jobs.ingest import ingest
from ray_jobs.settings.job import Pool, Settings
from ray_jobs.storage.store import Store
from tests.helpers.buckets import upload
from tests.helpers.drivers import assert_equal_files, file_stamps, finish, read_files, start_python
from tests.helpers.local_actors import local_actors
from tests.helpers.paths import TWEETS

UNUSUAL_TOKENS = ["RT", "@", "user", ":", "a\u00a0b", "\ufe0f", "x\u2028y", "\u200b", "née", "😀", "…"]
"""Tokens that occur in tweets; some look like white space but are not."""

Post = dict[str, Any]


def make_png(number: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (8, 8), (number * 7 % 256, number * 13 % 256, 99)).save(data, "PNG")
    return data.getvalue()


@pytest.fixture(scope="module")
def posts() -> list[Post]:
    """Sixty posts in two splits, each with unusual tokens, tags and an embedded image."""
    return [
        {
            "id": f"p{number}",
            "split": "test" if number % 7 == 0 else "train",
            "tokens": [*UNUSUAL_TOKENS, f"word{number}"],
            "tags": ["O"] * len(UNUSUAL_TOKENS) + ["I-OTHER" if number % 5 == 0 else "B-PER"],
            "image": make_png(number),
        }
        for number in range(60)
    ]


def write_parquet(folder: Path, posts: list[Post], files: int = 1, row_group_size: int | None = None) -> Path:
    folder.mkdir()
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    for part in range(files):
        rows = [{**post, "image": {"bytes": post["image"], "path": None}} for post in posts[part::files]]
        schema = pa.schema(
            {"id": pa.string(), "split": pa.string(), "tokens": pa.list_(pa.string())}
            | {"tags": pa.list_(pa.string()), "image": image}
        )
        pq.write_table(
            pa.Table.from_pylist(rows, schema), folder / f"part-{part}.parquet", row_group_size=row_group_size
        )
    return folder


def write_jsonl(folder: Path, posts: list[Post]) -> Path:
    (folder / "images").mkdir(parents=True)
    with (folder / "posts.jsonl").open("w", encoding="utf-8") as file:
        for post in posts:
            (folder / "images" / f"{post['id']}.png").write_bytes(post["image"])
            file.write(json.dumps({**post, "image": f"images/{post['id']}.png"}) + "\n")
    return folder


def write_tar(folder: Path, posts: list[Post]) -> Path:
    folder.mkdir()
    with TarWriter(str(folder / "posts.tar")) as tar:
        for post in posts:
            record = {name: post[name] for name in ("id", "split", "tokens", "tags")}
            tar.write({"__key__": post["id"], "png": post["image"], "json": record})
    return folder


def read_rows(run: Path) -> list[Post]:
    return [row for file in sorted((run / "posts").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


@pytest.fixture
def settings(small: Callable[..., Settings]) -> Settings:
    return small("per_shard=8", "pools.fetch.max=2", "pools.fetch.lease=2")


@pytest.fixture(scope="module")
@local_actors()
def reference(
    cluster: None, posts: list[Post], small: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    ingest(str(write_parquet(folder / "source", posts)), str(folder / "run"), small("per_shard=8"), quiet=True)
    return folder / "run"


def test_tokens_tags_and_images_are_unchanged(reference: Path, posts: list[Post]) -> None:
    rows = {row["id"]: row for row in read_rows(reference)}
    assert rows.keys() == {post["id"] for post in posts}
    for post in posts:
        row = rows[post["id"]]
        assert (row["tokens"], row["tags"], row["split"]) == (post["tokens"], post["tags"], post["split"])
        assert row["ner_tags"][-1] in {"B-MISC", "B-PER"}
        assert (row["image"]["bytes"], row["image_status"]) == (post["image"], "ok")
        assert row["text"] == " ".join(post["tokens"])


def test_shards_do_not_depend_on_source_files(
    reference: Path, posts: list[Post], settings: Settings, tmp_path: Path
) -> None:
    source = write_parquet(tmp_path / "source", posts[::-1], files=5)
    ingest(str(source), str(tmp_path / "run"), settings.model_copy(update={"bucket_mb": 1}), quiet=True)
    assert_equal_files(reference, tmp_path / "run", "posts")


@pytest.mark.promise(6)
def test_actors_of_the_first_pass_give_the_same_shards(
    reference: Path, posts: list[Post], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_pass, "MB", 1)  # splits and buckets of some kilobytes
    pools = settings.pools.model_copy(update={name: Pool(min=2, max=2, cpus=0.5, lease=1) for name in ("read", "sort")})
    cut = settings.model_copy(update={"pools": pools, "split_mb": 3_000, "bucket_mb": 20_000})
    source = write_parquet(tmp_path / "source", posts, files=7)
    pq.write_table(
        pq.read_table(source / "part-0.parquet").slice(0, 0), source / "part-9.parquet"
    )  # a split of no posts
    ingest(str(source), str(tmp_path / "run"), cut, quiet=True)
    assert_equal_files(reference, tmp_path / "run", "posts")
    logs = {name: sorted((tmp_path / "run" / "log").glob(f"*-{name}-*.jsonl")) for name in ("read", "sort")}
    assert all(len(files) == 1 and len(files[0].read_text().splitlines()) > 1 for files in logs.values()), logs


@pytest.mark.slow
def test_actors_find_known_posts(
    reference: Path, posts: list[Post], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_pass, "MB", 1)
    pools = settings.pools.model_copy(update={name: Pool(min=2, max=2, cpus=0.5, lease=1) for name in ("read", "sort")})
    cut = settings.model_copy(update={"pools": pools, "split_mb": 3_000, "bucket_mb": 4_000})
    new = [{**post, "id": f"new-{post['id']}", "tokens": [*post["tokens"][:-1], "new"]} for post in posts[:9]]
    again = [{**post, "id": f"again-{post['id']}"} for post in posts[9:20]]
    source = write_parquet(tmp_path / "source", [*new, *again, *posts[20:]], files=3)
    plan = ingest(str(source), str(tmp_path / "run"), cut, since=str(reference), quiet=True).plan
    assert (plan.total, plan.known, plan.changed) == (9, 51, 0)
    assert len(list((tmp_path / "run" / "log").glob("*-known-*.jsonl"))) == 1


@pytest.mark.slow
@pytest.mark.promise(6)
@pytest.mark.parametrize("actors", [1, 2, 8])
@pytest.mark.parametrize(("files", "row_group_size"), [(1, 5), (7, 1000), (64, 1)])
@pytest.mark.parametrize("stored", [False, True], ids=["folder", "bucket"])
def test_actors_files_and_row_groups_give_the_same_shards(
    reference: Path,
    posts: list[Post],
    settings: Settings,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    actors: int,
    files: int,
    row_group_size: int,
    stored: bool,
) -> None:
    source, run = write_parquet(tmp_path / "source", posts, files, row_group_size), tmp_path / "run"
    sizes = {"split_mb": 1_000 * actors, "bucket_mb": 40_000 // actors}
    if stored:  # in a process of its own: the Ray of the tests does not know the bucket
        address = upload(source, f"{bucket}/{tmp_path.name}")
        pools = [f"pools.{pool}.{name}={actors}" for pool in ("read", "sort") for name in ("min", "max")]
        cpus = [f"pools.{pool}.cpus=0.25" for pool in ("read", "sort")]
        words = ["per_shard=8", *pools, *cpus, *(f"{name}={size}" for name, size in sizes.items())]
        script = "from ray_jobs.jobs import first_pass; first_pass.MB = 1; from ray_jobs.cli.main import main; main()"
        code, _, stderr = finish(start_python("-c", script, "ingest", address, "--run", str(run), *words))
        assert (code, stderr) == (0, "")
    else:
        monkeypatch.setattr(first_pass, "MB", 1)
        pool = Pool(min=actors, max=actors, cpus=0.25, lease=1)
        both = settings.pools.model_copy(update={"read": pool, "sort": pool})
        ingest(str(source), str(run), settings.model_copy(update={"pools": both, **sizes}), quiet=True)
    plans = [json.loads((folder / "plan.json").read_text()) for folder in (run, reference)]
    assert plans[0]["digest"] == plans[1]["digest"]
    assert_equal_files(reference, run, "posts")


@local_actors()
def test_formats_give_equal_posts(reference: Path, posts: list[Post], settings: Settings, tmp_path: Path) -> None:
    names = ("id", "split", "text", "tokens", "tags", "ner_tags", "image_status")

    def posts_by_id(run: Path) -> list[Post]:
        rows = [{**{name: row[name] for name in names}, "bytes": row["image"]["bytes"]} for row in read_rows(run)]
        return sorted(rows, key=lambda row: row["id"])

    for name, write in (("jsonl", write_jsonl), ("tar", write_tar)):
        ingest(str(write(tmp_path / name, posts)), str(tmp_path / f"run-{name}"), settings, quiet=True)
        assert posts_by_id(tmp_path / f"run-{name}") == posts_by_id(reference)


@pytest.mark.promise(6)
@local_actors()
def test_bucket_gives_the_shards_of_a_folder(
    reference: Path, posts: list[Post], settings: Settings, bucket: str, tmp_path: Path
) -> None:
    name = f"{bucket}/{tmp_path.name}"
    inline = upload(write_parquet(tmp_path / "parquet", posts, files=3), f"{name}/parquet")
    ingest(inline, f"{name}/run", settings, quiet=True)
    expected = {key: data for key, data in read_files(reference, "posts").items() if key.endswith(".parquet")}
    run = Store(f"{name}/run")
    assert {key: run.read(key) for key in expected} == expected
    local = write_jsonl(tmp_path / "jsonl", posts)
    by_key = upload(local, f"{name}/jsonl")
    for source, images, target in ((local, None, "a"), (by_key, None, "b"), (local / "posts.jsonl", by_key, "c")):
        ingest(str(source), str(tmp_path / target), settings, images=images, quiet=True)
    assert_equal_files(tmp_path / "a", tmp_path / "b", "posts")
    assert_equal_files(tmp_path / "a", tmp_path / "c", "posts")
    assert {row["image_status"] for row in read_rows(tmp_path / "b")} == {"ok"}


def test_second_call_changes_nothing_or_is_refused(
    reference: Path, posts: list[Post], settings: Settings, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(reference, run)
    before = file_stamps(run)
    same_posts = write_parquet(tmp_path / "elsewhere", posts, files=3)
    assert ingest(str(same_posts), str(run), settings, quiet=True).counts.total() == 60
    assert file_stamps(run) == before
    other = write_parquet(tmp_path / "other", posts[:-1])
    with pytest.raises(IdentityError, match="another corpus"):
        ingest(str(other), str(run), settings, quiet=True)
    with pytest.raises(IdentityError, match="per_shard: 8 in the run, 4 now"):
        ingest(str(same_posts), str(run), settings.model_copy(update={"per_shard": 4}), quiet=True)
    assert file_stamps(run) == before
    assert not (run / "scratch").exists()


@local_actors()
def test_quarantine_holds_rejected_rows(cluster: None, settings: Settings, tmp_path: Path) -> None:
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
        json.dumps({"id": "out", "text": "its image is elsewhere", "image": "../secret.jpg"}),
    ]
    (source / "posts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    result = ingest(str(source), str(tmp_path / "run"), settings, quiet=True)
    assert (result.plan.total, result.plan.rejected) == (5, 4)
    assert result.plan.total + result.plan.rejected == len(lines)
    rejected = [
        json.loads(line)
        for file in (tmp_path / "run" / "quarantine").iterdir()
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    assert {(row["where"].rpartition(":")[2], bool(row["reason"])) for row in rejected} == {
        *(("3", True), ("4", True), ("5", True)),
        max((row["where"].rpartition(":")[2], True) for row in rejected if row["reason"] == "duplicate id"),
    }
    statuses = {row["id"]: row["image_status"] for row in read_rows(tmp_path / "run")}
    assert {statuses["gone"], statuses["out"]} == {"bad_image(missing)", "bad_image(outside_root)"}
    without_id = sorted(post_id for post_id in statuses if post_id not in {"a", "gone", "out"})
    assert without_id[1] == f"{without_id[0]}-1"


@local_actors()
def test_counts_of_the_example_tweets(cluster: None, settings: Settings, tmp_path: Path) -> None:
    result = ingest(str(TWEETS), str(tmp_path / "run"), settings, quiet=True)
    assert result.plan.posts == {"train": 5, "validation": 3, "test": 3}
    assert result.counts == {
        "image=ok": 6,
        "image=no_image": 2,
        "image=bad_image(empty)": 1,
        "image=bad_image(not_an_image)": 1,
        "image=bad_image(truncated)": 1,
    }
    assert result.plan.repaired == 4
    assert len(read_files(tmp_path / "run", "posts")) == 4  # three splits of one shard, and the identity


def test_rejects_source_without_posts(cluster: None, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("\n\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="no posts found"):
        ingest(str(tmp_path), str(tmp_path / "run"), settings, quiet=True)
