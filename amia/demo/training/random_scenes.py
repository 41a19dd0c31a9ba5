"""Scenes of people, places, badges and things that nobody has a name for: every look is drawn at random.

In images of the world's own entities all that is seen goes together: whoever is told by a shirt needs no second look
at the hair. Where looks are random only the hair tells the hair, and what learns from such scenes has met nobody.
"""

import random
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw

from amia.demo.drawing.appearance import MARKS, STYLES, Look, photographed
from amia.demo.drawing.canvas import BRIGHT, GROUNDS, HAIRS, SKIES, SKINS, Canvas, wall
from amia.demo.drawing.figures import draw_logo, draw_object, draw_person
from amia.demo.drawing.places import draw_place
from amia.demo.names import KINDS, Kind
from amia.demo.training.targets import SIDE

# MERGED FROM amia.demo.training.random_scenes: Images that the tiny ResNet learns from: invented scenes with any amount of grain.
#
# Recognizers see photographs, which have grain, and synthesized images, which have none.
Scene = dict[Kind, Look]
"""What an image shows: at most one look of each type."""

_OVERSAMPLE = 3
_CORNERS = ((-0.46, -0.46), (0.46, -0.46), (-0.46, 0.46), (0.46, 0.46))
_DRAW = {"PER": draw_person, "ORG": draw_logo, "MISC": draw_object}


def invented_look(kind: Kind, rng: random.Random) -> Look:
    """A random look of something of type `kind`."""
    main, second = rng.sample(list(BRIGHT), 2)
    extra = rng.randrange(len(SKIES) if kind == "LOC" else len(SKINS))
    detail = rng.randrange({"PER": len(HAIRS), "LOC": len(GROUNDS)}.get(kind, len(MARKS)))
    return Look(rng.choice(STYLES[kind]), main, second, extra, detail, rng.random() < 0.4)


def invented_scene(rng: random.Random) -> Scene:
    """One, two or three random looks of different types."""
    return {kind: invented_look(kind, rng) for kind in rng.sample(KINDS, rng.choice((1, 1, 2, 2, 3)))}


def draw_scene(scene: Scene, side: int, rng: random.Random) -> Image.Image:
    """A square image of `scene`, RGB: one thing stands large near the middle, several in corners of their own."""
    image = Image.new("RGB", (side * _OVERSAMPLE,) * 2)
    whole = Canvas(ImageDraw.Draw(image), image.width / 2, image.height / 2, image.width / 2)
    variation = photographed(rng)
    whole.box(-1, -1, 1, 1, wall(variation.tint))
    if "LOC" in scene:
        draw_place(whole.at(variation.dx, 0.0, 1.0), scene["LOC"], variation)
    things = [kind for kind in scene if kind != "LOC"]
    corners = rng.sample(_CORNERS, len(things)) if len(scene) > 1 else [(0.0, 0.0)]
    for kind, (x, y) in zip(things, corners, strict=False):
        size = rng.uniform(0.34, 0.66) if len(scene) > 1 else rng.uniform(0.5, 1.0)
        _DRAW[kind](whole.at(x + variation.dx, y + variation.dy, size), scene[kind], variation)
    return image.reduce(_OVERSAMPLE)


_SIDES = (64, 80, 96, 112)
_MOST_GRAIN = 12.0


def picture(scene: Scene, rng: random.Random) -> Image.Image:
    """An image of `scene` of 64 to 112 pixels a side, with grain of 0 to 12 gray levels."""
    side = rng.choice(_SIDES)
    grain = np.random.default_rng(rng.getrandbits(64)).normal(0.0, rng.uniform(0.0, _MOST_GRAIN), (side, side, 1))
    return Image.fromarray(np.clip(np.asarray(draw_scene(scene, side, rng)) + grain, 0, 255).astype(np.uint8))


def labeled_pictures(count: int, rng: random.Random) -> tuple[torch.Tensor, torch.Tensor]:
    """Images uint8 (N, 3, 64, 64) of invented scenes and their attributes, 0 or 1 (N, number of attributes)."""
    scenes = [invented_scene(rng) for _ in range(count)]
    small = [picture(scene, rng).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for scene in scenes]
    pictures = torch.from_numpy(np.stack([np.asarray(each) for each in small])).permute(0, 3, 1, 2).contiguous()
    return pictures, attribute_targets(scenes)


Attribute = tuple[str, str | int]


_COLORS = tuple(BRIGHT)


_PARTS: dict[Kind, dict[str, tuple[str, Sequence[str | int]]]] = {
    "PER": {
        "style": ("head", STYLES["PER"]),
        "main": ("shirt", _COLORS),
        "second": ("headgear", _COLORS),
        "extra": ("skin", range(len(SKINS))),
        "detail": ("hair", range(len(HAIRS))),
        "accessory": ("spectacles", (True,)),
    },
    "LOC": {
        "style": ("scenery", STYLES["LOC"]),
        "main": ("landmark", _COLORS),
        "extra": ("sky", range(len(SKIES))),
        "detail": ("ground", range(len(GROUNDS))),
        "accessory": ("moon", (True,)),
    },
    "ORG": {
        "style": ("badge", STYLES["ORG"]),
        "main": ("badge color", _COLORS),
        "second": ("mark color", _COLORS),
        "detail": ("mark", range(len(MARKS))),
    },
    "MISC": {
        "style": ("object", STYLES["MISC"]),
        "main": ("object color", _COLORS),
        "second": ("trim color", _COLORS),
    },
}


"""For each type, as what a field of a look is seen, and the values it takes; fields that are not drawn are missing."""


ATTRIBUTES: tuple[Attribute, ...] = tuple(
    (part, value) for parts in _PARTS.values() for part, values in parts.values() for value in values
)


"""Every attribute, in the order of the training targets."""


_PLACE = {attribute: place for place, attribute in enumerate(ATTRIBUTES)}


def attributes_of(scene: Scene) -> set[Attribute]:
    """The attributes that an image of `scene` shows; spectacles, a moon and headgear only where there are some."""
    shown = {(part, getattr(look, field)) for kind, look in scene.items() for field, (part, _) in _PARTS[kind].items()}
    if "PER" in scene and scene["PER"].style not in ("cap", "beanie"):
        shown.discard(("headgear", scene["PER"].second))
    return shown & _PLACE.keys()


def attribute_targets(scenes: Sequence[Scene]) -> torch.Tensor:
    """Zeros and ones, float32 (N, number of attributes)."""
    targets = torch.zeros(len(scenes), len(ATTRIBUTES))
    for row, scene in enumerate(scenes):
        targets[row, [_PLACE[attribute] for attribute in attributes_of(scene)]] = 1.0
    return targets
