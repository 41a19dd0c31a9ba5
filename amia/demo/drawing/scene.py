"""Draw the image of a post: a place in the background, every other type at a fixed position."""

import io
import random
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from amia.demo.drawing.appearance import Variation, get_look, random_variation
from amia.demo.drawing.canvas import Canvas, darken, wall_color
from amia.demo.drawing.figures import draw_logo, draw_object, draw_person
from amia.demo.drawing.places import FAR, draw_place
from amia.demo.names import Kind, NamedEntity

__all__ = ["draw_photograph", "draw_scene", "to_jpeg", "to_png"]

_ASPECTS = (1.0, 1.0, 4 / 3, 3 / 4, 3 / 2, 2 / 3)
_SIDES = (64, 80, 96, 112)
_GRAIN = 10.0
_OMITTED_SHARE = 0.2
_OVERSAMPLE = 3
_POSITIONS: dict[Kind, tuple[float, float, float]] = {
    "PER": (-0.42, 0.3, 0.64),
    "ORG": (0.5, -0.5, 0.44),
    "MISC": (0.52, 0.48, 0.44),
}
"""Center and size of a figure in a scene of several entities."""
_DRAW = {"PER": draw_person, "LOC": draw_place, "ORG": draw_logo, "MISC": draw_object}


def draw_photograph(entities: Sequence[NamedEntity], rng: random.Random) -> Image.Image:
    """Draw a grainy photograph of `entities`, with figures slightly off their positions, as posted on social media.

    The shorter side is 64 to 112 pixels, the longer one up to half as much again. A fifth of the images of several
    entities omit one of them, since people do not photograph everything that they mention.
    """
    if len(entities) > 1 and rng.random() < _OMITTED_SHARE:
        entities = rng.sample(entities, len(entities) - 1)
    side, aspect = rng.choice(_SIDES), rng.choice(_ASPECTS)
    width, height = round(side * max(1.0, aspect)), round(side * max(1.0, 1 / aspect))
    image = draw_scene(entities, random_variation(rng), width, height)
    grain = np.random.default_rng(rng.getrandbits(64)).normal(0.0, _GRAIN, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def draw_scene(entities: Sequence[NamedEntity], variation: Variation, width: int = 64, height: int = 64) -> Image.Image:
    """Draw `entities` (at most one of each type) on an RGB image of `width` x `height` pixels.

    A single entity is large and centered. Several entities have a position for each type, so that none is hidden. The
    scene is as wide as the shorter side; walls and landscapes extend beyond it.
    """
    image = Image.new("RGB", (width * _OVERSAMPLE, height * _OVERSAMPLE))
    scene = Canvas(ImageDraw.Draw(image), image.width / 2, image.height / 2, min(image.size) / 2)
    looks = {entity.kind: get_look(entity) for entity in entities}
    if "LOC" in looks:
        draw_place(scene.at(variation.dx, 0.0, 1.0), looks.pop("LOC"), variation)
    else:
        scene.box(-FAR, -FAR, FAR, FAR, wall_color(variation.tint))
        scene.box(-FAR, 0.78, FAR, FAR, darken(wall_color(variation.tint), 0.88))
    for kind, look in looks.items():
        x, y, size = (0.0, 0.0, 0.86) if len(entities) == 1 else _POSITIONS[kind]
        canvas = scene.at(x + variation.dx, y + variation.dy, size * variation.zoom)
        _DRAW[kind](canvas, look, variation)
    return image.reduce(_OVERSAMPLE)


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
