"""The picture of a post: a place behind everything, each other type in its own corner."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from amia.demo.logos import draw_logo
from amia.demo.looks import look_of
from amia.demo.names import Entity, Kind
from amia.demo.objects import draw_object
from amia.demo.palette import darker, wall
from amia.demo.pen import Pen
from amia.demo.people import draw_person
from amia.demo.places import FAR, draw_place
from amia.demo.variation import Variation

_OVERSAMPLE = 3
_SLOTS: dict[Kind, tuple[float, float, float]] = {
    "PER": (-0.42, 0.3, 0.64),
    "ORG": (0.5, -0.5, 0.44),
    "MISC": (0.52, 0.48, 0.44),
}
_DRAW = {"PER": draw_person, "LOC": draw_place, "ORG": draw_logo, "MISC": draw_object}


def draw(entities: Sequence[Entity], variation: Variation, width: int = 64, height: int = 64) -> Image.Image:
    """The picture of `entities` (at most one of each type), RGB, `width` x `height` pixels.

    One entity stands large in the middle; several share the picture, each type in a place of its own, so that nothing
    is hidden. The scene is as wide as the shorter side; walls and landscapes go on beyond it.
    """
    image = Image.new("RGB", (width * _OVERSAMPLE, height * _OVERSAMPLE))
    scene = Pen(ImageDraw.Draw(image), image.width / 2, image.height / 2, min(image.size) / 2)
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
