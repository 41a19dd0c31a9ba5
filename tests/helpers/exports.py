"""Read an export as bytes and as public code reads it."""

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
    """Return the contents of every file except logs, by key."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.parent.name != "log"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def read_as_umt(file: Path) -> list[tuple[str, list[str], list[str]]]:
    """Return (image name, tokens, tags) of posts as UMT and HVPNeT read them: only a blank line ends a post."""
    posts: list[tuple[str, list[str], list[str]]] = []
    image, tokens, tags = "", list[str](), list[str]()
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("IMGID:"):
                image = line.strip().split("IMGID:")[1] + ".jpg"
            elif line[0] == "\n":
                posts.append((image, tokens, tags))
                image, tokens, tags = "", [], []
            else:
                cells = line.split("\t")
                tokens.append(cells[0])
                tags.append(cells[-1][:-1])
    assert not tokens, "no blank line after the last post"
    for _, words, labels in posts:
        assert len(" ".join(words).split(" ")) == len(words) == len(labels)
    return posts


def crop_like_umt(folder: Path, name: str, rng: random.Random) -> tuple[Image.Image, bool]:
    """Return a crop of 224 as from torchvision's RandomCrop without padding, and whether it is of the placeholder."""

    def crop(path: Path) -> Image.Image:
        image = Image.open(path).convert("RGB")
        if min(image.size) < 224:
            raise ValueError("smaller than the crop")
        left, top = (rng.randint(0, side - 224) for side in image.size)
        return image.crop((left, top, left + 224, top + 224))

    try:
        return crop(folder / name), False
    except (OSError, ValueError):
        return crop(folder / "17_06_4705.jpg"), True
