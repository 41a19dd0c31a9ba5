"""The image of a post: a place behind everything, each other type in its own corner."""

import io
import random
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from amia.demo.drawing.appearance import Variation, look_of, photographed
from amia.demo.drawing.canvas import Canvas, darker, wall
from amia.demo.drawing.figures import draw_logo, draw_object, draw_person
from amia.demo.drawing.places import FAR, draw_place
from amia.demo.names import Entity, Kind

# MERGED FROM amia.demo.drawing.scene: What an image shows beyond its entities: light, tint, mood, and for photographs also place and size.
# MERGED FROM amia.demo.drawing.scene: Images as people post them: of any size and shape, grainy, things not quite in their place.


_ASPECTS = (1.0, 1.0, 4 / 3, 3 / 4, 3 / 2, 2 / 3)
_SIDES = (64, 80, 96, 112)
_GRAIN = 10.0
_LEFT_OUT = 0.2


def draw_photograph(entities: Sequence[Entity], rng: random.Random) -> Image.Image:
    """A photograph of `entities`, its shorter side 64 to 112 pixels, its longer one up to half as much again.

    Nobody photographs all they mention: of several entities one is missing in every fifth image.
    """
    if len(entities) > 1 and rng.random() < _LEFT_OUT:
        entities = rng.sample(entities, len(entities) - 1)
    side, aspect = rng.choice(_SIDES), rng.choice(_ASPECTS)
    width, height = round(side * max(1.0, aspect)), round(side * max(1.0, 1 / aspect))
    picture = draw_scene(entities, photographed(rng), width, height)
    grain = np.random.default_rng(rng.getrandbits(64)).normal(0.0, _GRAIN, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))


def jpeg(picture: Image.Image) -> bytes:
    """The bytes of a JPEG file, quality 85."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def png(picture: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


_OVERSAMPLE = 3
_SLOTS: dict[Kind, tuple[float, float, float]] = {
    "PER": (-0.42, 0.3, 0.64),
    "ORG": (0.5, -0.5, 0.44),
    "MISC": (0.52, 0.48, 0.44),
}
_DRAW = {"PER": draw_person, "LOC": draw_place, "ORG": draw_logo, "MISC": draw_object}


def draw_scene(entities: Sequence[Entity], variation: Variation, width: int = 64, height: int = 64) -> Image.Image:
    """The image of `entities` (at most one of each type), RGB, `width` x `height` pixels.

    One entity stands large in the middle; several share the image, each type in a place of its own, so that nothing
    is hidden. The scene is as wide as the shorter side; walls and landscapes go on beyond it.
    """
    image = Image.new("RGB", (width * _OVERSAMPLE, height * _OVERSAMPLE))
    scene = Canvas(ImageDraw.Draw(image), image.width / 2, image.height / 2, min(image.size) / 2)
    by_kind = {entity.kind: look_of(entity) for entity in entities}
    if "LOC" in by_kind:
        draw_place(scene.at(variation.dx, 0.0, 1.0), by_kind.pop("LOC"), variation)
    else:
        scene.box(-FAR, -FAR, FAR, FAR, wall(variation.tint))
        scene.box(-FAR, 0.78, FAR, FAR, darker(wall(variation.tint), 0.88))
    for kind, look in by_kind.items():
        x, y, size = (0.0, 0.0, 0.86) if len(entities) == 1 else _SLOTS[kind]
        pen = scene.at(x + variation.dx, y + variation.dy, size * variation.zoom)
        _DRAW[kind](pen, look, variation)
    return image.reduce(_OVERSAMPLE)
