"""An image of what came out: original, synthesized and augmented image of a few posts, from low theta to high."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

__all__ = ["Triple", "draw_grid", "spread"]

TILE = 128
"""Pixels a side of one image."""
GAP = 8
CAPTION = 34
PAPER, INK, FAINT = (255, 255, 255), (24, 24, 27), (113, 113, 122)
EMPTY = (228, 228, 231)


@dataclass(frozen=True, slots=True)
class Triple:
    """One post's three images, as encoded files; None where there is none."""

    original: bytes | None
    synthesized: bytes | None
    augmented: bytes | None
    theta: float
    text: str


def spread(thetas: Sequence[float], count: int) -> list[int]:
    """Which of the posts to show so that theta runs evenly from its lowest to its highest: `count` positions at
    most."""
    order = sorted(range(len(thetas)), key=thetas.__getitem__)
    if len(order) <= count:
        return order
    return [order[round(step * (len(order) - 1) / max(1, count - 1))] for step in range(count)]


def draw_grid(groups: Sequence[tuple[str, Sequence[Triple]]], path: Path) -> None:
    """A PNG with one block of columns a group (`low theta`, ...), and one row of three images a post."""
    rows = max(len(triples) for _, triples in groups)
    block = 3 * TILE + 4 * GAP
    canvas = Image.new("RGB", (block * len(groups) + GAP, 62 + rows * (TILE + CAPTION + GAP)), PAPER)
    pen = ImageDraw.Draw(canvas)
    for column, (title, triples) in enumerate(groups):
        left = column * block + GAP
        pen.text((left, 8), title, INK, _font(18))
        for place, name in enumerate(("original", "synthesized", "augmented")):
            pen.text((left + place * (TILE + GAP), 36), name, FAINT, _font(14))
        for row, triple in enumerate(triples):
            top = 60 + row * (TILE + CAPTION + GAP)
            for place, data in enumerate((triple.original, triple.synthesized, triple.augmented)):
                canvas.paste(_tile(data), (left + place * (TILE + GAP), top))
            pen.text((left, top + TILE + 2), f"theta {triple.theta:.2f}", INK, _font(13))
            pen.text((left, top + TILE + 17), _shortened(pen, triple.text, 3 * TILE + 2 * GAP), FAINT, _font(13))
    canvas.save(path)


def _tile(data: bytes | None) -> Image.Image:
    if data is None:
        return Image.new("RGB", (TILE, TILE), EMPTY)
    return Image.open(BytesIO(data)).convert("RGB").resize((TILE, TILE), Image.Resampling.NEAREST)


def _shortened(pen: ImageDraw.ImageDraw, text: str, width: int) -> str:
    line = " ".join(text.split())
    if pen.textlength(line, _font(13)) <= width:
        return line
    while line and pen.textlength(f"{line}…", _font(13)) > width:
        line = line[:-1]
    return f"{line}…"


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
