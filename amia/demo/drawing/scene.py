"""Draw the image of a post: places in the background, other entities in quarters of the image."""

import io
import itertools
import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from amia.demo.drawing.appearance import Look, Variation, get_look, random_variation
from amia.demo.drawing.canvas import Canvas, darken, wall_color
from amia.demo.drawing.figures import draw_logo, draw_object, draw_person
from amia.demo.drawing.places import FAR, draw_place
from amia.demo.names import KINDS, Kind, NamedEntity

__all__ = ["Box", "Drawing", "draw_photograph", "draw_scene", "to_jpeg", "to_png"]

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom are exclusive."""

_ASPECTS = (1.0, 1.0, 4 / 3, 3 / 4, 3 / 2, 2 / 3)
_SIDES = (64, 80, 96, 112)
_GRAIN = 10.0
_OVERSAMPLE = 3
_QUARTERS = {
    "lower left": (-0.46, 0.34),
    "lower right": (0.48, 0.4),
    "upper right": (0.5, -0.5),
    "upper left": (-0.5, -0.5),
}
_PREFERRED: dict[Kind, tuple[str, ...]] = {
    "PER": ("lower left", "lower right", "upper left", "upper right"),
    "ORG": ("upper right", "upper left", "lower right", "lower left"),
    "MISC": ("lower right", "lower left", "upper right", "upper left"),
}
"""Quarters of an image of several entities, in the order in which those of a type take them."""
_SIZES: dict[Kind, float] = {"PER": 0.54, "ORG": 0.43, "MISC": 0.43}
_DRAW = {"PER": draw_person, "ORG": draw_logo, "MISC": draw_object}


class Drawing(NamedTuple):
    """An image, and the box of each entity in the order in which they were given."""

    image: Image.Image
    boxes: tuple[Box, ...]


def draw_photograph(entities: Sequence[NamedEntity], rng: random.Random) -> Drawing:
    """Draw a grainy photograph of `entities`, with figures slightly off their positions, as posted on social media.

    The shorter side is 64 to 112 pixels, the longer one up to half as much again. A single entity is large and in the
    center.
    """
    side, aspect = rng.choice(_SIDES), rng.choice(_ASPECTS)
    width, height = round(side * max(1.0, aspect)), round(side * max(1.0, 1 / aspect))
    image, boxes = draw_scene(entities, random_variation(rng), width, height, center_single=True)
    grain = np.random.default_rng(rng.getrandbits(64)).normal(0.0, _GRAIN, (height, width, 1))
    return Drawing(Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)), boxes)


def draw_scene(
    entities: Sequence[NamedEntity],
    variation: Variation,
    width: int = 64,
    height: int = 64,
    *,
    center_single: bool = False,
) -> Drawing:
    """Draw up to three `entities` on an RGB image of `width` x `height` pixels.

    Places fill the background, several of them side by side. Each other entity has a quarter of the image, so that none
    is hidden; `center_single` draws an entity without others large and in the center. The generator learns scenes
    without centered entities: there, the position of an entity does not depend on how many others there are, which a
    small model can hardly tell from a sentence. The scene is as wide as the shorter side; walls and landscapes extend
    beyond it.
    """
    image = Image.new("RGB", (width * _OVERSAMPLE, height * _OVERSAMPLE))
    scene = _scene(image)
    places = [index for index, entity in enumerate(entities) if entity.kind == "LOC"]
    figures = [index for kind in KINDS for index, entity in enumerate(entities) if entity.kind == kind != "LOC"]
    boxes = dict(
        zip(places, _draw_places(image, [get_look(entities[index]) for index in places], variation), strict=True)
    )
    if not places:
        scene.box(-FAR, -FAR, FAR, FAR, wall_color(variation.tint))
        scene.box(-FAR, 0.78, FAR, FAR, darken(wall_color(variation.tint), 0.88))
    free = list(_QUARTERS)
    for index in figures:
        kind = entities[index].kind
        (x, y), size = (0.0, 0.0), 0.86
        if len(entities) > 1 or not center_single:
            quarter = next(name for name in _PREFERRED[kind] if name in free)
            free.remove(quarter)
            (x, y), size = _QUARTERS[quarter], _SIZES[kind]
        before = image.copy()
        canvas = scene.at(x + variation.dx, y + variation.dy, size * variation.zoom)
        _DRAW[kind](canvas, get_look(entities[index]), variation)
        # A figure may be outside of the image in part, or drawn in the color of what is behind it.
        box = ImageChops.difference(image, before).getbbox() or (0, 0, *image.size)
        boxes[index] = box
    scaled = [_shrink(boxes[index]) for index in range(len(entities))]
    return Drawing(image.reduce(_OVERSAMPLE), tuple(scaled))


def _scene(image: Image.Image) -> Canvas:
    return Canvas(ImageDraw.Draw(image), image.width / 2, image.height / 2, min(image.size) / 2)


def _draw_places(image: Image.Image, looks: Sequence[Look], variation: Variation) -> list[Box]:
    """Draw landscapes side by side, each in a strip of equal width, and return the strips."""
    if not looks:
        return []
    if len(looks) == 1:
        draw_place(_scene(image).at(variation.dx, 0.0, 1.0), looks[0], variation)
        return [(0, 0, *image.size)]
    edges = [round(image.width * strip / len(looks)) for strip in range(len(looks) + 1)]
    boxes = [(left, 0, right, image.height) for left, right in itertools.pairwise(edges)]
    for look, box in zip(looks, boxes, strict=True):
        strip = Image.new("RGB", (box[2] - box[0], image.height))
        draw_place(_scene(strip).at(variation.dx, 0.0, 1.2), look, variation)
        image.paste(strip, box[:2])
    return boxes


def _shrink(box: Box) -> Box:
    """Return a box of the drawing in pixels of the image, which is smaller, rounded outwards."""
    left, top, right, bottom = box
    return left // _OVERSAMPLE, top // _OVERSAMPLE, -(-right // _OVERSAMPLE), -(-bottom // _OVERSAMPLE)


def to_jpeg(image: Image.Image) -> bytes:
    """Encode an image as JPEG with quality 85."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def to_png(image: Image.Image) -> bytes:
    """Encode an image as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
