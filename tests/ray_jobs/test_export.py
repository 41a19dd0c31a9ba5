"""`amia export`: what comes out is read here as other people's code reads it."""

import hashlib
import io
import json
import random
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from amia.errors import IdentityError, RunError, SettingsError
from amia.exporting.summary import Summary
from amia.images.encoding import encode_jpeg
from amia.mner.labels import TYPES, label_names
from ray_jobs.export import export
from ray_jobs.settings import Settings

Amia = Callable[..., tuple[int, str, str]]
Row = dict[str, Any]

ARMS = ("adaptive", "original")
FILES = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}


@pytest.fixture(scope="module")
def settings(small: Callable[..., Settings]) -> Settings:
    return small("pools.export.max=2", "pools.export.lease=2")


@pytest.fixture(scope="module")
def umt(augmented: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    """Both arms of the undisturbed run in layout umt, and what was said of them."""
    folder = tmp_path_factory.mktemp("umt") / "out"
    return folder, export(str(augmented), settings, layout="umt", to=str(folder), arms=ARMS, quiet=True)


@pytest.fixture(scope="module")
def tars(augmented: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    """The same in layout webdataset."""
    folder = tmp_path_factory.mktemp("tars") / "out"
    return folder, export(str(augmented), settings, layout="webdataset", to=str(folder), arms=ARMS, quiet=True)


def rows(run: Path, arm: str) -> list[Row]:
    files = sorted((run / "augmented" / arm).glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def read_as_umt(file: Path) -> list[tuple[str, list[str], list[str]]]:
    """(image name, tokens, tags) in the way of UMT's and HVPNeT's loops: a post ends at a blank line, and only there."""
    found: list[tuple[str, list[str], list[str]]] = []
    image, tokens, tags = "", list[str](), list[str]()
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("IMGID:"):
                image = line.strip().split("IMGID:")[1] + ".jpg"
            elif line[0] == "\n":
                found.append((image, tokens, tags))
                image, tokens, tags = "", [], []
            else:
                cells = line.split("\t")
                tokens.append(cells[0])
                tags.append(cells[-1][:-1])
    assert not tokens, "the last post has no blank line after it"
    for _, words, labels in found:
        assert len(" ".join(words).split(" ")) == len(words) == len(labels)
    return found


def seen_by_umt(folder: Path, name: str, chance: random.Random) -> tuple[Image.Image, bool]:
    """A crop of 224, cut as torchvision's RandomCrop does without padding, and whether it is of the placeholder."""

    def crop(path: Path) -> Image.Image:
        image = Image.open(path).convert("RGB")
        if min(image.size) < 224:
            raise ValueError("smaller than the crop")
        left, top = (chance.randint(0, side - 224) for side in image.size)
        return image.crop((left, top, left + 224, top + 224))

    try:
        return crop(folder / name), False
    except (OSError, ValueError):
        return crop(folder / "17_06_4705.jpg"), True


@pytest.mark.parametrize("arm", ARMS)
def test_public_code_reads_posts_and_images(umt: tuple[Path, Summary], augmented: Path, arm: str) -> None:
    folder, done = umt
    chance = random.Random(0)
    fallen_back = 0
    for split, name in FILES.items():
        expected = [row for row in rows(augmented, arm) if row["split"] == split]
        found = read_as_umt(folder / arm / name)
        assert [(f"{row['id']}.jpg", row["tokens"], row["tags"]) for row in expected] == found
        for row, (image, _, _) in zip(expected, found, strict=True):
            picture, is_placeholder = seen_by_umt(folder / arm / "images", image, chance)
            assert picture.size == (224, 224)
            assert is_placeholder == (row["image"] is None)
            assert not is_placeholder or len(picture.getcolors() or ()) == 1
            fallen_back += is_placeholder
    assert fallen_back == done.arms[arm].without_image == (0 if arm == "adaptive" else 10)
    assert done.arms[arm].posts == {"train": 68, "validation": 14, "test": 14}
