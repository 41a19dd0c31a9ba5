"""`amia export`: its files are read here in the way of public code."""

import dataclasses
import hashlib
import io
import json
import os
import random
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import Image

from amia.errors import IdentityError, RunError, StoreError
from amia.export.shard import ExportSummary
from amia.images.jpeg import encode_jpeg
from amia.mner.spans import TYPES, label_names
from amia.posts import RawPost
from amia.readers import open_corpus
from ray_jobs.jobs.context import open_run
from ray_jobs.jobs.export import export, finish
from ray_jobs.settings.job import Settings
from ray_jobs.storage.arm import open_arm
from ray_jobs.storage.store import Store
from tests.helpers.drivers import finish as finish_process
from tests.helpers.drivers import kill_when, start
from tests.helpers.exports import crop_like_umt, files, read_as_umt, rows
from tests.helpers.local_actors import local_actors

Amia = Callable[..., tuple[int, str, str]]

ARMS = ("adaptive", "original")
FILES = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}


@pytest.fixture(scope="module")
def settings(small: Callable[..., Settings]) -> Settings:
    return small("pools.export.max=2", "pools.export.lease=2")


@pytest.fixture(scope="module")
def umt(augmented: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportSummary]:
    """Both arms of the run `augmented` in layout umt, with the summary."""
    folder = tmp_path_factory.mktemp("umt") / "out"
    return folder, export(str(augmented), settings, layout="umt", to=str(folder), arms=ARMS, quiet=True)


@pytest.fixture(scope="module")
@local_actors()
def tars(augmented: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportSummary]:
    """Both arms of the run `augmented` in layout webdataset, with the summary."""
    folder = tmp_path_factory.mktemp("tars") / "out"
    return folder, export(str(augmented), settings, layout="webdataset", to=str(folder), arms=ARMS, quiet=True)


@pytest.mark.parametrize("arm", ARMS)
def test_umt_reads_posts_and_images(umt: tuple[Path, ExportSummary], augmented: Path, arm: str) -> None:
    folder, summary = umt
    rng = random.Random(0)
    num_placeholders = 0
    for split, name in FILES.items():
        expected = [row for row in rows(augmented, arm) if row["split"] == split]
        posts = read_as_umt(folder / arm / name)
        assert [(f"{row['id']}.jpg", row["tokens"], row["tags"]) for row in expected] == posts
        for row, (image, _, _) in zip(expected, posts, strict=True):
            crop, is_placeholder = crop_like_umt(folder / arm / "images", image, rng)
            assert crop.size == (224, 224)
            assert is_placeholder == (row["image"] is None)
            assert not is_placeholder or len(crop.getcolors() or ()) == 1
            num_placeholders += is_placeholder
    assert num_placeholders == summary.arms[arm].without_image == (0 if arm == "adaptive" else 9)
    assert summary.arms[arm].posts == {"train": 68, "validation": 14, "test": 14}


def test_arms_share_texts_and_image_size(umt: tuple[Path, ExportSummary], augmented: Path) -> None:
    folder, summary = umt
    assert (summary.size, summary.quality, summary.unchanged) == (256, 95, False)
    for name in FILES.values():
        assert (folder / "adaptive" / name).read_bytes() == (folder / "original" / name).read_bytes()
    tables = Image.open(io.BytesIO(encode_jpeg(np.zeros((256, 256, 3), np.uint8), 95, source="original"))).quantization
    for arm in ARMS:
        names = {row["id"] for row in rows(augmented, arm) if row["image"] is not None}
        images = folder / arm / "images"
        assert {path.name for path in images.iterdir()} == {
            "17_06_4705.jpg",
            "inf.png",
            *(f"{name}.jpg" for name in names),
        }
        for path in images.glob("*.jpg"):
            with Image.open(path) as image:
                assert (image.size, image.mode, image.format) == ((256, 256), "RGB", "JPEG")
                assert image.quantization == tables
    without_image = (folder / "original" / "without_image.txt").read_text().split()
    assert without_image == [row["id"] for row in rows(augmented, "original") if row["image"] is None]
    assert not (folder / "adaptive" / "without_image.txt").exists()
    assert not list(folder.rglob("renamed.jsonl"))


@pytest.mark.parametrize("layout", ["umt", "tars"])
def test_sha256sums_match_all_files(layout: str, request: pytest.FixtureRequest) -> None:
    folder, _ = request.getfixturevalue(layout)
    sums = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    published = {
        key: data for key, data in files(folder).items() if key != "SHA256SUMS" and not key.startswith(".amia/")
    }
    assert sums == {key: hashlib.sha256(data).hexdigest() for key, data in published.items()}
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    assert not (folder / ".amia" / "parts").exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset does not close its files
@pytest.mark.parametrize("arm", ARMS)
def test_webdataset_reads_tars(tars: tuple[Path, ExportSummary], augmented: Path, arm: str) -> None:
    folder, summary = tars
    assert (summary.size, summary.unchanged, summary.arms[arm].posts["train"]) == (64, True, 68)
    labels = label_names(TYPES)
    for split in FILES:
        expected = [row for row in rows(augmented, arm) if row["split"] == split]
        shards = sorted(map(str, (folder / arm).glob(f"{split}-*-of-*.tar")))
        posts = list(webdataset.WebDataset(shards, shardshuffle=False).decode())
        decoded = list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil"))
        assert len(posts) == len(expected)
        for row, post, sample in zip(expected, posts, decoded, strict=True):
            record = {name: value for name, value in row.items() if name != "image"}
            if row["ner_tags"] is not None:
                record["ner_tags"] = [labels[number] for number in row["ner_tags"]]
            assert post["json"] == record
            assert sample["__key__"] == row["id"]
            assert ("jpg" in sample) == (row["image"] is not None)
            assert row["image"] is None or sample["jpg"].size == (64, 64)


def test_amia_reads_tars(tars: tuple[Path, ExportSummary], augmented: Path) -> None:
    posts = list(open_corpus(tars[0] / "adaptive"))
    assert all(isinstance(post, RawPost) for post in posts)
    by_id = {row["id"]: row for row in rows(augmented, "adaptive")}
    assert {post.id for post in posts} == by_id.keys()
    for post in posts:
        row = by_id[str(post.id)]
        assert isinstance(post, RawPost)
        assert (post.split, post.text, post.tokens, post.tags) == (
            row["split"],
            row["text"],
            row["tokens"],
            row["tags"],
        )
        assert post.image == row["image"]["bytes"]


def test_amia_reads_text_files(umt: tuple[Path, ExportSummary], augmented: Path) -> None:
    posts = list(open_corpus(umt[0] / "adaptive"))
    by_id = {row["id"]: row for row in rows(augmented, "adaptive")}
    assert {post.id for post in posts} == by_id.keys()
    for post in posts:
        assert isinstance(post, RawPost)
        row = by_id[str(post.id)]
        assert (post.split, post.tokens, post.tags) == (row["split"], row["tokens"], row["tags"])
        assert post.image_path == f"{post.id}.jpg"


def test_resumes_after_kill(
    umt: tuple[Path, ExportSummary], augmented: Path, tmp_path: Path, settings: Settings, small_words: Sequence[str]
) -> None:
    to = tmp_path / "out"
    words = ("export", str(augmented), "--layout", "umt", "--to", str(to), "--arm", "adaptive", "--arm", "original")
    driver = start(*words, "--config", "demo", *small_words, "pools.export.max=1", "pools.export.lease=1")
    kill_when(driver, lambda: len(list(to.glob(".amia/parts/adaptive/*.json"))) >= 2)
    published = {part.stem for part in to.glob(".amia/parts/*/*.json")}
    assert 2 <= len(published) < 10, "killed too late"
    assert not (to / "README.md").exists()
    before = {path: path.stat().st_mtime_ns for path in to.rglob("*.jpg")}
    with local_actors():
        export(str(augmented), settings, layout="umt", to=str(to), arms=ARMS, quiet=True)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    half_written = {key for key in files(to) if "#" in key}  # left by the killed process; readers ignore them
    assert {key: data for key, data in files(to).items() if key not in half_written} == files(umt[0])


def test_finished_export_is_unchanged(tars: tuple[Path, ExportSummary], augmented: Path, settings: Settings) -> None:
    folder, summary = tars
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert export(str(augmented), settings, layout="webdataset", to=str(folder), arms=ARMS, quiet=True) == summary
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_second_driver_returns_the_finished_summary(
    tars: tuple[Path, ExportSummary], augmented: Path, tmp_path: Path
) -> None:
    folder, summary = tars
    plan, _ = open_run(Store(augmented))
    arms = [open_arm(Store(augmented), arm) for arm in ARMS]
    without_arms = dataclasses.replace(summary, arms={})
    assert finish(Store(folder), plan, arms, without_arms) == summary  # the first driver has removed the parts
    with pytest.raises(StoreError, match=re.escape(".amia/parts/adaptive/test-00000-of-00002.json")):
        finish(Store(tmp_path), plan, arms, without_arms)


def test_refuses_folder_of_another_export(umt: tuple[Path, ExportSummary], augmented: Path, settings: Settings) -> None:
    before = files(umt[0])
    for options, message in (
        ({"size": 300}, "settings.size: 256 in the run, 300 now"),
        ({"name": "twitter2015_images"}, '"images" in the run, "twitter2015_images" now'),
        ({"layout": "webdataset"}, '"umt" in the run, "webdataset" now'),
        ({"arms": ("adaptive",)}, "input.original"),
    ):
        with pytest.raises(IdentityError, match=re.escape(message)):
            export(
                str(augmented), settings, **{"layout": "umt", "to": str(umt[0]), "arms": ARMS, "quiet": True} | options
            )
    assert files(umt[0]) == before


@pytest.mark.parametrize("name", ["README.md", "adaptive/train.txt"])
def test_refuses_folder_with_other_files(augmented: Path, settings: Settings, tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(RunError, match="no export of amia"):
        export(str(augmented), settings, layout="umt", to=str(tmp_path), quiet=True)
    assert files(tmp_path) == {name: b"mine"}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--layout", "utm"], 2, "did you mean 'umt'"),
        (["--layout", "umt", "--size", "200"], 2, "224 or more"),
        (["--layout", "umt", "--size", "9999"], 2, "size=9999"),
        (["--layout", "webdataset", "--size", "8"], 2, "size=8"),
        (["--layout", "umt", "--arm", "adaptve"], 2, "did you mean 'adaptive'"),
        (["--layout", "umt", "--arm", "cosine"], 8, "amia augment --run RUN --arm cosine"),
        (["--layout", "umt", "--name", "../up"], 2, "letters, digits"),
        (["--layout", "webdataset", "--name", "images"], 2, "--layout umt"),
        (["--layout", "umt", "--to", "RUN"], 2, "is the run itself"),
    ],
)
def test_refuses_arguments_before_writing(
    amia: Amia, augmented: Path, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    to = [] if "--to" in words else ["--to", str(tmp_path / "out")]
    options = [str(augmented) if word == "RUN" else word for word in words]
    exit_code, _, stderr = amia("export", augmented, "--config", "demo", *to, *options)
    assert (exit_code, stderr.startswith("error: "), message in stderr) == (code, True, True), stderr
    assert not (tmp_path / "out").exists()


@local_actors()
def test_printed_summary(amia: Amia, augmented: Path, tmp_path: Path, small_words: Sequence[str]) -> None:
    words = ("export", augmented, "--layout", "umt", "--arm", "original", "--to", tmp_path / "out", "--config", "demo")
    words += ("--name", "twitter2015_images", "--size", "224", *small_words, "pools.export.max=1")
    code, stdout, _ = amia(*words)
    assert code == 0
    assert f"original: 96 posts (14 test, 68 train, 14 validation) -> {tmp_path / 'out'}/original" in stdout
    assert "9 without an image in this arm" in stdout
    with Image.open(tmp_path / "out" / "original" / "twitter2015_images" / "17_06_4705.jpg") as image:
        assert image.size == (224, 224)
    report = json.loads(amia(*words, "--json")[1])
    assert (report["size"], report["folder"], report["generator"]) == (224, "twitter2015_images", None)
    assert report["arms"]["original"]["without_image"] == 9
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "Made with demo weights" in readme
    assert "`original` shows the post's own image\n" in readme
    assert "Likenesses" not in readme, "no image is synthesized"
    for system in ("UMT", "MAF", "HVPNeT", "RpBERT", "SMVAE"):
        assert f"| {system} |" in readme
    assert os.uname().nodename not in readme
    assert str(tmp_path) not in readme


@pytest.mark.slow  # `test_store.py` tests object stores; the export does not depend on the kind of store
def test_object_store(
    augmented: Path, tars: tuple[Path, ExportSummary], bucket: str, small_words: Sequence[str]
) -> None:
    words = ("export", str(augmented), "--layout", "webdataset", "--arm", "adaptive", "--arm", "original")
    words += ("--config", "demo", "--to", f"{bucket}/out", *small_words, "pools.export.max=1")
    code, _, stderr = finish_process(start(*words))
    assert (code, stderr) == (0, "")
    remote = Store(f"{bucket}/out")
    keys = {key for key in remote.list("") if not key.startswith(".amia/log/")}
    assert keys == {key for key in files(tars[0]) if not key.startswith(".amia/log/")}
    assert all(remote.read(key) == (tars[0] / key).read_bytes() for key in keys)
