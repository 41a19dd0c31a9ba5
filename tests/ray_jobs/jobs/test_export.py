"""`amia export`: what comes out is read here as other people's code reads it."""

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

Amia = Callable[..., tuple[int, str, str]]

ARMS = ("adaptive", "original")
FILES = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}


@pytest.fixture(scope="module")
def settings(small: Callable[..., Settings]) -> Settings:
    return small("pools.export.max=2", "pools.export.lease=2")


@pytest.fixture(scope="module")
def umt(augmented: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportSummary]:
    """Both arms of the undisturbed run in layout umt, and what was said of them."""
    folder = tmp_path_factory.mktemp("umt") / "out"
    return folder, export(str(augmented), settings, layout="umt", to=str(folder), arms=ARMS, quiet=True)


@pytest.fixture(scope="module")
def tars(augmented: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportSummary]:
    """The same in layout webdataset."""
    folder = tmp_path_factory.mktemp("tars") / "out"
    return folder, export(str(augmented), settings, layout="webdataset", to=str(folder), arms=ARMS, quiet=True)


@pytest.mark.parametrize("arm", ARMS)
def test_public_code_reads_posts_and_images(umt: tuple[Path, ExportSummary], augmented: Path, arm: str) -> None:
    folder, done = umt
    chance = random.Random(0)
    fallen_back = 0
    for split, name in FILES.items():
        expected = [row for row in rows(augmented, arm) if row["split"] == split]
        found = read_as_umt(folder / arm / name)
        assert [(f"{row['id']}.jpg", row["tokens"], row["tags"]) for row in expected] == found
        for row, (image, _, _) in zip(expected, found, strict=True):
            picture, is_placeholder = crop_like_umt(folder / arm / "images", image, chance)
            assert picture.size == (224, 224)
            assert is_placeholder == (row["image"] is None)
            assert not is_placeholder or len(picture.getcolors() or ()) == 1
            fallen_back += is_placeholder
    assert fallen_back == done.arms[arm].without_image == (0 if arm == "adaptive" else 9)
    assert done.arms[arm].posts == {"train": 68, "validation": 14, "test": 14}


def test_both_arms_have_the_same_texts_and_images_of_one_size(umt: tuple[Path, ExportSummary], augmented: Path) -> None:
    folder, done = umt
    assert (done.size, done.quality, done.unchanged) == (256, 95, False)
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
    without = (folder / "original" / "without_image.txt").read_text().split()
    assert without == [row["id"] for row in rows(augmented, "original") if row["image"] is None]
    assert not (folder / "adaptive" / "without_image.txt").exists()
    assert not list(folder.rglob("renamed.jsonl"))


@pytest.mark.parametrize("layout", ["umt", "tars"])
def test_sums_are_true_of_every_file(layout: str, request: pytest.FixtureRequest) -> None:
    folder, _ = request.getfixturevalue(layout)
    told = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    there = {key: data for key, data in files(folder).items() if key != "SHA256SUMS" and not key.startswith(".amia/")}
    assert told == {key: hashlib.sha256(data).hexdigest() for key, data in there.items()}
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    assert not (folder / ".amia" / "parts").exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset leaves files to be closed
@pytest.mark.parametrize("arm", ARMS)
def test_webdataset_reads_the_tars(tars: tuple[Path, ExportSummary], augmented: Path, arm: str) -> None:
    folder, done = tars
    assert (done.size, done.unchanged, done.arms[arm].posts["train"]) == (64, True, 68)
    labels = label_names(TYPES)
    for split in FILES:
        expected = [row for row in rows(augmented, arm) if row["split"] == split]
        shards = sorted(map(str, (folder / arm).glob(f"{split}-*-of-*.tar")))
        found = list(webdataset.WebDataset(shards, shardshuffle=False).decode())
        decoded = list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil"))
        assert len(found) == len(expected)
        for row, post, seen in zip(expected, found, decoded, strict=True):
            record = {name: value for name, value in row.items() if name != "image"}
            if row["ner_tags"] is not None:
                record["ner_tags"] = [labels[number] for number in row["ner_tags"]]
            assert post["json"] == record
            assert seen["__key__"] == row["id"]
            assert ("jpg" in seen) == (row["image"] is not None)
            assert row["image"] is None or seen["jpg"].size == (64, 64)


def test_amia_reads_its_own_tars_back(tars: tuple[Path, ExportSummary], augmented: Path) -> None:
    found = list(open_corpus(tars[0] / "adaptive"))
    assert all(isinstance(post, RawPost) for post in found)
    by_id = {row["id"]: row for row in rows(augmented, "adaptive")}
    assert {post.id for post in found} == by_id.keys()
    for post in found:
        row = by_id[str(post.id)]
        assert isinstance(post, RawPost)
        assert (post.split, post.text, post.tokens, post.tags) == (
            row["split"],
            row["text"],
            row["tokens"],
            row["tags"],
        )
        assert post.image == row["image"]["bytes"]


def test_amia_reads_its_own_text_files_back(umt: tuple[Path, ExportSummary], augmented: Path) -> None:
    found = list(open_corpus(umt[0] / "adaptive"))
    by_id = {row["id"]: row for row in rows(augmented, "adaptive")}
    assert {post.id for post in found} == by_id.keys()
    for post in found:
        assert isinstance(post, RawPost)
        row = by_id[str(post.id)]
        assert (post.split, post.tokens, post.tags) == (row["split"], row["tokens"], row["tags"])
        assert post.image_path == f"{post.id}.jpg"


def test_killed_while_it_writes(
    umt: tuple[Path, ExportSummary], augmented: Path, tmp_path: Path, settings: Settings, small_words: Sequence[str]
) -> None:
    to = tmp_path / "out"
    words = ("export", str(augmented), "--layout", "umt", "--to", str(to), "--arm", "adaptive", "--arm", "original")
    driver = start(*words, "--config", "demo", *small_words, "pools.export.max=1", "pools.export.lease=1")
    kill_when(driver, lambda: len(list(to.glob(".amia/parts/adaptive/*.json"))) >= 2)
    done = {part.stem for part in to.glob(".amia/parts/*/*.json")}
    assert 2 <= len(done) < 10, "killed too late to show anything"
    assert not (to / "README.md").exists()
    before = {path: path.stat().st_mtime_ns for path in to.rglob("*.jpg")}
    export(str(augmented), settings, layout="umt", to=str(to), arms=ARMS, quiet=True)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    half = {key for key in files(to) if "#" in key}  # of the killed process: no reader takes them for images
    assert {key: data for key, data in files(to).items() if key not in half} == files(umt[0])


def test_a_finished_export_is_left_alone(tars: tuple[Path, ExportSummary], augmented: Path, settings: Settings) -> None:
    folder, done = tars
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert export(str(augmented), settings, layout="webdataset", to=str(folder), arms=ARMS, quiet=True) == done
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_whoever_comes_second_tells_what_the_first_has_finished(
    tars: tuple[Path, ExportSummary], augmented: Path, tmp_path: Path
) -> None:
    folder, done = tars
    plan, _ = open_run(Store(augmented))
    arms = [open_arm(Store(augmented), arm) for arm in ARMS]
    about = {name: getattr(done, name) for name in done.to_json() if name != "arms"}
    assert finish(Store(folder), plan, arms, about) == done  # its parts were tidied away under it
    with pytest.raises(StoreError, match=re.escape(".amia/parts/adaptive/test-00000-of-00002.json")):
        finish(Store(tmp_path), plan, arms, about)


def test_another_export_into_the_same_folder_is_refused(
    umt: tuple[Path, ExportSummary], augmented: Path, settings: Settings
) -> None:
    before = files(umt[0])
    for more, said in (
        ({"size": 300}, "settings.size: 256 in the run, 300 now"),
        ({"name": "twitter2015_images"}, '"images" in the run, "twitter2015_images" now'),
        ({"layout": "webdataset"}, '"umt" in the run, "webdataset" now'),
        ({"arms": ("adaptive",)}, "input.original"),
    ):
        with pytest.raises(IdentityError, match=re.escape(said)):
            export(str(augmented), settings, **{"layout": "umt", "to": str(umt[0]), "arms": ARMS, "quiet": True} | more)
    assert files(umt[0]) == before


@pytest.mark.parametrize("theirs", ["README.md", "adaptive/train.txt"])
def test_a_folder_with_other_files_is_refused(augmented: Path, settings: Settings, tmp_path: Path, theirs: str) -> None:
    (tmp_path / theirs).parent.mkdir(exist_ok=True)
    (tmp_path / theirs).write_text("mine")
    with pytest.raises(RunError, match="no export of amia"):
        export(str(augmented), settings, layout="umt", to=str(tmp_path), quiet=True)
    assert files(tmp_path) == {theirs: b"mine"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
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
def test_what_cannot_be_exported_is_said_before_anything_is_written(
    amia: Amia, augmented: Path, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    to = [] if "--to" in words else ["--to", str(tmp_path / "out")]
    given = [str(augmented) if word == "RUN" else word for word in words]
    left, _, complained = amia("export", augmented, "--config", "demo", *to, *given)
    assert (left, complained.startswith("error: "), said in complained) == (code, True, True), complained
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_it_wrote(
    amia: Amia, augmented: Path, tmp_path: Path, small_words: Sequence[str]
) -> None:
    words = ("export", augmented, "--layout", "umt", "--arm", "original", "--to", tmp_path / "out", "--config", "demo")
    words += ("--name", "twitter2015_images", "--size", "224", *small_words, "pools.export.max=1")
    code, said, _ = amia(*words)
    assert code == 0
    assert f"original: 96 posts (14 test, 68 train, 14 validation) -> {tmp_path / 'out'}/original" in said
    assert "9 without an image in this arm" in said
    with Image.open(tmp_path / "out" / "original" / "twitter2015_images" / "17_06_4705.jpg") as image:
        assert image.size == (224, 224)
    told = json.loads(amia(*words, "--json")[1])
    assert (told["size"], told["folder"], told["generator"]) == (224, "twitter2015_images", None)
    assert told["arms"]["original"]["without_image"] == 9
    about = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "Made with demo weights" in about
    assert "`original` shows the post's own image\n" in about
    assert "Likenesses" not in about, "nothing in it is synthetic"
    for system in ("UMT", "MAF", "HVPNeT", "RpBERT", "SMVAE"):
        assert f"| {system} |" in about
    assert os.uname().nodename not in about
    assert str(tmp_path) not in about


@pytest.mark.slow  # `test_store.py` has the store, and nothing here knows which it is
def test_onto_an_object_store(
    augmented: Path, tars: tuple[Path, ExportSummary], bucket: str, small_words: Sequence[str]
) -> None:
    words = ("export", str(augmented), "--layout", "webdataset", "--arm", "adaptive", "--arm", "original")
    words += ("--config", "demo", "--to", f"{bucket}/out", *small_words, "pools.export.max=1")
    code, _, complained = finish_process(start(*words))
    assert (code, complained) == (0, "")
    far = Store(f"{bucket}/out")
    keys = {key for key in far.list("") if not key.startswith(".amia/log/")}
    assert keys == {key for key in files(tars[0]) if not key.startswith(".amia/log/")}
    assert all(far.read(key) == (tars[0] / key).read_bytes() for key in keys)
