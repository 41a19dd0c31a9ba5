"""`amia export --layout umt` of hostile ids and tokens, of other geometries, and of the real data sets."""

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

DATA = os.environ.get("AMIA_SHARED_DATA")
real = pytest.mark.skipif(DATA is None, reason="AMIA_SHARED_DATA names no folder of real data")

IDS = ["17_06_4705", "inf", "a.b", "a/b", "../../up", "/etc/passwd", "ABC", "abc", "x" * 300, "CON", "é", "7", "O_1926"]
KEPT = {"7", "O_1926"}


@pytest.fixture(scope="module")
def settings(small: Callable[..., Settings]) -> Settings:
    return small("pools.export.max=2", "per_shard=5")


@pytest.fixture(scope="module")
def odd(cluster: None, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of posts with odd ids, one with odd tokens, one of a type of its own, and two without tags; one arm."""
    folder = tmp_path_factory.mktemp("odd")
    posts = [{"id": post_id, "tokens": ["at", post_id], "tags": ["O", "B-OTHER"]} for post_id in IDS]
    posts.append({"id": "spaced", "tokens": ["New York", "IMGID:1"], "tags": ["I-LOC", "B-building"]})
    posts += [{"id": f"untagged-{number}", "text": "nothing to learn here"} for number in range(2)]
    posts = [post | {"split": "part_a" if number % 3 else "train"} for number, post in enumerate(posts)]
    (folder / "posts.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts), encoding="utf-8")
    ingest(str(folder / "posts.jsonl"), str(folder / "run"), settings, quiet=True)
    write_arm(folder / "run")
    return folder / "run"


def test_odd_ids_get_names_that_are_told_and_lead_nowhere_else(odd: Path, settings: Settings, tmp_path: Path) -> None:
    done = export(str(odd), settings, layout="umt", to=str(tmp_path / "out"), arms=["original"], quiet=True)
    folder = tmp_path / "out" / "original"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    lines = (folder / "renamed.jsonl").read_text(encoding="utf-8").splitlines()
    renamed = {line["id"]: line["name"] for line in map(json.loads, lines)}
    assert renamed.keys() == set(IDS) - KEPT
    posts = {f"{renamed.get(row['id'], row['id'])}.jpg": row for row in rows(odd, "original")}
    chance, seen = random.Random(1), set[str]()
    for name in ("train.txt", "part_a.txt"):
        for image, tokens, tags in read_as_umt(folder / name):
            row = posts[image]
            assert tags == row["tags"]
            if row["id"] != "spaced":
                assert tokens == row["tokens"]
            picture, is_placeholder = crop_like_umt(folder / "images", image, chance)
            assert not is_placeholder
            assert len(picture.getcolors(100_000) or range(2)) > 1, "the placeholder under a post's name"
            assert (folder / "images" / image).read_bytes() == row["image"]["bytes"]  # 256 pixels, quality 95 already
            seen.add(image.lower())
    assert len(seen) == len(IDS) + 1
    with Image.open(folder / "images" / "17_06_4705.jpg") as image:
        assert image.getcolors() == [(256 * 256, (128, 128, 128))]
    told = done.arms["original"]
    assert (told.total, told.untagged, told.altered, told.renamed) == (len(IDS) + 1, 2, 2, len(renamed))
    about = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    for said in (
        "2 posts are left out",
        f"{len(renamed)} posts have another name",
        "2 tokens are changed",
        "`building`",
    ):
        assert said in about
    assert "the run's own bytes" in about


def test_images_below_quality_95_are_encoded_again(odd: Path, settings: Settings, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(odd, run, ignore=shutil.ignore_patterns("augmented"))
    write_arm(run, images=ImageSettings(size=256, quality=80))
    done = export(str(run), settings, layout="umt", to=str(tmp_path / "out"), arms=["original"], quiet=True)
    assert (done.quality, done.unchanged) == (95, False)
    [row] = [row for row in rows(run, "original") if row["id"] == "7"]
    with (
        Image.open(tmp_path / "out" / "original" / "images" / "7.jpg") as image,
        Image.open(tmp_path / "out" / "original" / "images" / "17_06_4705.jpg") as gray,
    ):
        assert image.quantization == gray.quantization
    assert (tmp_path / "out" / "original" / "images" / "7.jpg").read_bytes() != row["image"]["bytes"]


def test_arms_of_different_sizes_are_not_exported_beside_each_other(
    odd: Path, settings: Settings, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(odd, run)
    write_arm(run, "synthesized", ImageSettings(size=128))
    with pytest.raises(SettingsError, match="original and synthesized were not written alike"):
        export(str(run), settings, layout="umt", to=str(tmp_path / "out"), arms=["original", "synthesized"])
    assert not (tmp_path / "out").exists()


def test_a_corpus_without_any_tags_has_no_place_in_text_files(
    cluster: None, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "posts.jsonl").write_text('{"id": "a.b", "text": "one"}\n{"id": "c", "text": "two"}\n')
    run = tmp_path / "run"
    ingest(str(tmp_path / "posts.jsonl"), str(run), settings, quiet=True)
    write_arm(run, make_image=lambda row, images: None)
    with pytest.raises(CorpusError, match="--layout webdataset takes posts of every kind"):
        export(str(run), settings, layout="umt", to=str(tmp_path / "out"), arms=["original"], quiet=True)
    done = export(str(run), settings, layout="webdataset", to=str(tmp_path / "out"), arms=["original"], quiet=True)
    assert (done.arms["original"].total, done.arms["original"].without_image) == (2, 2)


@real
def test_real_tweets_and_images_come_out_as_umt_takes_them(
    cluster: None, small: Callable[..., Settings], tmp_path: Path
) -> None:
    source, run = Path(DATA or "") / "tweets", tmp_path / "run"
    settings = small("image.size=240", "pools.export.max=1")
    ingest(str(source), str(run), settings, quiet=True)
    augment(str(run), settings, arms=["original"], quiet=True)
    export(str(run), settings, layout="umt", to=str(tmp_path / "out"), arms=["original"], size=224, quiet=True)
    for name in ("train.txt", "valid.txt", "test.txt"):
        found = read_as_umt(tmp_path / "out" / "original" / name)
        assert sorted(found) == sorted(read_as_umt(source / name))
        for image, _, _ in found:
            picture, is_placeholder = crop_like_umt(tmp_path / "out" / "original" / "images", image, random.Random(0))
            assert (picture.size, is_placeholder) == ((224, 224), False)


@real
def test_all_of_twitter_2017_keeps_its_tags_and_its_placeholder(
    cluster: None, small: Callable[..., Settings], tmp_path: Path
) -> None:
    source, run = Path(DATA or "") / "twitter2017", tmp_path / "run"
    settings = small("per_shard=512", "pools.export.max=2")
    ingest(str(source), str(run), settings, quiet=True)
    write_arm(run, make_image=lambda row, images: noise_jpeg(row, images) if row["id"] == "17_06_4705" else None)
    done = export(str(run), settings, layout="umt", to=str(tmp_path / "out"), arms=["original"], quiet=True)
    folder = tmp_path / "out" / "original"
    [renamed] = (folder / "renamed.jsonl").read_text().splitlines()
    name = json.loads(renamed)["name"]
    for file in ("train.txt", "valid.txt", "test.txt"):
        theirs = sorted((folder / file).read_text(encoding="utf-8").replace(name, "17_06_4705").split("\n\n"))
        assert theirs == sorted((source / file).read_text(encoding="utf-8").split("\n\n"))
    assert {key for key in files(folder) if key.startswith("images/")} == {
        "images/17_06_4705.jpg",
        f"images/{name}.jpg",
        "images/inf.png",
    }
    told = done.arms["original"]
    assert (told.total, told.without_image, told.altered, told.renamed) == (4819, 4818, 0, 1)
