"""An export as other people's code reads it, and as bytes."""

import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image

Row = dict[str, Any]


def rows(run: Path, arm: str) -> list[Row]:
    shards = sorted((run / "augmented" / arm).glob("*.parquet"))
    return [row for file in shards for row in pq.read_table(file).to_pylist()]


def files(folder: Path) -> dict[str, bytes]:
    """Every file but the logs, by key."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.parent.name != "log"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def read_as_umt(file: Path) -> list[tuple[str, list[str], list[str]]]:
    """(image name, tokens, tags) in the way of UMT's and HVPNeT's loops: a post ends at a blank line alone."""
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
