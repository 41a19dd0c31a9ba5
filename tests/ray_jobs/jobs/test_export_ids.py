"""`amia export --layout umt` of unusual ids and tokens, of other image settings, and of real data sets."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from amia.errors import CorpusError, SettingsError
from amia.images import ImageSettings
from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.export import export
from ray_jobs.jobs.ingest import ingest
from ray_jobs.settings.job import Settings
from tests.helpers.arms import noise_jpeg, write_arm
from tests.helpers.exports import crop_like_umt, files, read_as_umt, rows

pytestmark = pytest.mark.usefixtures("local_stages")

DATA = os.environ.get("AMIA_SHARED_DATA")
real = pytest.mark.skipif(DATA is None, reason="AMIA_SHARED_DATA is not set to a folder of real data")

IDS = ["17_06_4705", "inf", "a.b", "a/b", "../../up", "/etc/passwd", "ABC", "abc", "x" * 300, "CON", "é", "7", "O_1926"]
KEPT = {"7", "O_1926"}


@pytest.fixture(scope="module")
def settings(small: Callable[..., Settings]) -> Settings:
    return small("pools.export.max=2", "per_shard=5")


@pytest.fixture(scope="module")
def unusual(cluster: None, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with one arm: posts with unusual ids, tokens and entity types, and two posts without tags."""
    folder = tmp_path_factory.mktemp("unusual")
    posts = [{"id": post_id, "tokens": ["at", post_id], "tags": ["O", "B-OTHER"]} for post_id in IDS]
    posts.append({"id": "spaced", "tokens": ["New York", "IMGID:1"], "tags": ["I-LOC", "B-building"]})
    posts += [{"id": f"untagged-{number}", "text": "nothing to learn here"} for number in range(2)]
    posts = [post | {"split": "part_a" if number % 3 else "train"} for number, post in enumerate(posts)]
    (folder / "posts.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts), encoding="utf-8")
    ingest(str(folder / "posts.jsonl"), str(folder / "run"), settings, quiet=True)
    write_arm(folder / "run")
    return folder / "run"


def test_unusual_ids_get_safe_names(unusual: Path, settings: Settings, tmp_path: Path) -> None:
    summary = export(str(unusual), settings, layout="umt", to=str(tmp_path / "out"), arms=["original"], quiet=True)
    folder = tmp_path / "out" / "original"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    lines = (folder / "renamed.jsonl").read_text(encoding="utf-8").splitlines()
    renamed = {line["id"]: line["name"] for line in map(json.loads, lines)}
    assert renamed.keys() == set(IDS) - KEPT
    posts = {f"{renamed.get(row['id'], row['id'])}.jpg": row for row in rows(unusual, "original")}
    rng, names = random.Random(1), set[str]()
    for file in ("train.txt", "part_a.txt"):
        for image, tokens, tags in read_as_umt(folder / file):
            row = posts[image]
            assert tags == row["tags"]
            if row["id"] != "spaced":
                assert tokens == row["tokens"]
            crop, is_placeholder = crop_like_umt(folder / "images", image, rng)
            assert not is_placeholder
            assert len(crop.getcolors(100_000) or range(2)) > 1, "a gray image instead of the post's own"
            # unchanged: it has 256 pixels and quality 95
            assert (folder / "images" / image).read_bytes() == row["image"]["bytes"]
            names.add(image.lower())
    assert len(names) == len(IDS) + 1
    with Image.open(folder / "images" / "17_06_4705.jpg") as image:
        assert image.getcolors() == [(256 * 256, (128, 128, 128))]
    arm = summary.arms["original"]
    assert (arm.total, arm.untagged, arm.altered, arm.renamed) == (len(IDS) + 1, 2, 2, len(renamed))
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    for text in (
        "2 posts are left out",
        f"{len(renamed)} posts have a file name other than their id",
        "2 tokens are changed",
        "`building`",
    ):
        assert text in readme
    assert "copied from the run unchanged" in readme


def test_low_quality_images_are_encoded_again(unusual: Path, settings: Settings, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(unusual, run, ignore=shutil.ignore_patterns("augmented"))
    write_arm(run, images=ImageSettings(size=256, quality=80))
    summary = export(str(run), settings, layout="umt", to=str(tmp_path / "out"), arms=["original"], quiet=True)
    assert (summary.quality, summary.unchanged) == (95, False)
    [row] = [row for row in rows(run, "original") if row["id"] == "7"]
    with (
        Image.open(tmp_path / "out" / "original" / "images" / "7.jpg") as image,
        Image.open(tmp_path / "out" / "original" / "images" / "17_06_4705.jpg") as gray,
    ):
        assert image.quantization == gray.quantization
    assert (tmp_path / "out" / "original" / "images" / "7.jpg").read_bytes() != row["image"]["bytes"]


def test_refuses_arms_of_different_sizes(unusual: Path, settings: Settings, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(unusual, run)
    write_arm(run, "synthesized", ImageSettings(size=128))
    with pytest.raises(SettingsError, match="original and synthesized have different image settings"):
        export(str(run), settings, layout="umt", to=str(tmp_path / "out"), arms=["original", "synthesized"])
    assert not (tmp_path / "out").exists()


def test_umt_refuses_corpus_without_tags(cluster: None, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_text('{"id": "a.b", "text": "one"}\n{"id": "c", "text": "two"}\n')
    run = tmp_path / "run"
    ingest(str(tmp_path / "posts.jsonl"), str(run), settings, quiet=True)
    write_arm(run, make_image=lambda row, images: None)
    with pytest.raises(CorpusError, match="--layout webdataset, which also holds posts without tags"):
        export(str(run), settings, layout="umt", to=str(tmp_path / "out"), arms=["original"], quiet=True)
    summary = export(str(run), settings, layout="webdataset", to=str(tmp_path / "out"), arms=["original"], quiet=True)
    assert (summary.arms["original"].total, summary.arms["original"].without_image) == (2, 2)


@real
def test_real_tweets_as_read_by_umt(cluster: None, small: Callable[..., Settings], tmp_path: Path) -> None:
    source, run = Path(DATA or "") / "tweets", tmp_path / "run"
    settings = small("image.size=240", "pools.export.max=1")
    ingest(str(source), str(run), settings, quiet=True)
    augment(str(run), settings, arms=["original"], quiet=True)
    export(str(run), settings, layout="umt", to=str(tmp_path / "out"), arms=["original"], size=224, quiet=True)
    for name in ("train.txt", "valid.txt", "test.txt"):
        posts = read_as_umt(tmp_path / "out" / "original" / name)
        assert sorted(posts) == sorted(read_as_umt(source / name))
        for image, _, _ in posts:
            crop, is_placeholder = crop_like_umt(tmp_path / "out" / "original" / "images", image, random.Random(0))
            assert (crop.size, is_placeholder) == ((224, 224), False)


@real
def test_twitter_2017_keeps_tags_and_placeholder(cluster: None, small: Callable[..., Settings], tmp_path: Path) -> None:
    source, run = Path(DATA or "") / "twitter2017", tmp_path / "run"
    settings = small("per_shard=512", "pools.export.max=2")
    ingest(str(source), str(run), settings, quiet=True)
    write_arm(run, make_image=lambda row, images: noise_jpeg(row, images) if row["id"] == "17_06_4705" else None)
    summary = export(str(run), settings, layout="umt", to=str(tmp_path / "out"), arms=["original"], quiet=True)
    folder = tmp_path / "out" / "original"
    [renamed] = (folder / "renamed.jsonl").read_text().splitlines()
    name = json.loads(renamed)["name"]
    for file in ("train.txt", "valid.txt", "test.txt"):
        exported = sorted((folder / file).read_text(encoding="utf-8").replace(name, "17_06_4705").split("\n\n"))
        assert exported == sorted((source / file).read_text(encoding="utf-8").split("\n\n"))
    assert {key for key in files(folder) if key.startswith("images/")} == {
        "images/17_06_4705.jpg",
        f"images/{name}.jpg",
        "images/inf.png",
    }
    arm = summary.arms["original"]
    assert (arm.total, arm.without_image, arm.altered, arm.renamed) == (4819, 4818, 0, 1)
