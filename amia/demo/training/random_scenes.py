"""Scenes with random looks, which train the tiny ResNet to recognize visual attributes.

An attribute is a part and its value, such as `("hair", 2)` or `("scenery", "bridge")`; no attribute is a name. In
images of the world's entities all attributes of an entity occur together, so a model that recognizes the shirt needs no
second attribute. With random looks each attribute must be recognized by itself, and the model sees no entity.

Images have a random amount of grain: recognizers get photographs, which have grain, and synthesized images, which have
none.
"""

import random
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw

from amia.demo.drawing.appearance import MARKS, STYLES, Look, random_variation
from amia.demo.drawing.canvas import BRIGHT, GROUNDS, HAIRS, SKIES, SKINS, Canvas, wall_color
from amia.demo.drawing.figures import draw_logo, draw_object, draw_person
from amia.demo.drawing.places import draw_place
from amia.demo.names import KINDS, Kind
from amia.demo.training.targets import SIDE

Scene = tuple[tuple[Kind, Look], ...]
"""Contents of an image: at most one place, and up to three other figures of any types."""
Attribute = tuple[str, str | int]
"""A part and its value."""

_OVERSAMPLE = 3
_CORNERS = ((-0.46, -0.46), (0.46, -0.46), (-0.46, 0.46), (0.46, 0.46))
_DRAW = {"PER": draw_person, "ORG": draw_logo, "MISC": draw_object}
_SIDES = (64, 80, 96, 112)
_MAX_GRAIN = 12.0
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
"""For each type: the part that a field of a look determines, and its values. Fields without effect are omitted."""

ATTRIBUTES: tuple[Attribute, ...] = tuple(
    (part, value) for parts in _PARTS.values() for part, values in parts.values() for value in values
)
"""Every attribute, in the order of the training targets."""

_ATTRIBUTE_INDEX = {attribute: index for index, attribute in enumerate(ATTRIBUTES)}


def labeled_images(count: int, rng: random.Random) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images uint8 (N, 3, 64, 64) of random scenes and their attributes, 0 or 1 (N, number of attributes)."""
    scenes = [random_scene(rng) for _ in range(count)]
    photos = [random_photo(scene, rng).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for scene in scenes]
    images = torch.from_numpy(np.stack([np.asarray(photo) for photo in photos])).permute(0, 3, 1, 2).contiguous()
    return images, attribute_targets(scenes)


def random_scene(rng: random.Random) -> Scene:
    """Return one, two or three random looks, at most one of them a place."""
    kinds = rng.sample((*KINDS, "PER", "ORG", "MISC"), rng.choice((1, 1, 2, 2, 3)))
    return tuple((kind, random_look(kind, rng)) for kind in kinds)


def random_look(kind: Kind, rng: random.Random) -> Look:
    """Return a random look of type `kind`."""
    main, second = rng.sample(list(BRIGHT), 2)
    extra = rng.randrange(len(SKIES) if kind == "LOC" else len(SKINS))
    detail = rng.randrange({"PER": len(HAIRS), "LOC": len(GROUNDS)}.get(kind, len(MARKS)))
    return Look(rng.choice(STYLES[kind]), main, second, extra, detail, rng.random() < 0.4)


def random_photo(scene: Scene, rng: random.Random) -> Image.Image:
    """Draw `scene` as a square image of 64 to 112 pixels a side, with grain of 0 to 12 gray levels."""
    side = rng.choice(_SIDES)
    grain = np.random.default_rng(rng.getrandbits(64)).normal(0.0, rng.uniform(0.0, _MAX_GRAIN), (side, side, 1))
    return Image.fromarray(np.clip(np.asarray(render_scene(scene, side, rng)) + grain, 0, 255).astype(np.uint8))


def render_scene(scene: Scene, side: int, rng: random.Random) -> Image.Image:
    """Draw `scene` as a square RGB image: a single figure is large and near the center, several are in corners."""
    image = Image.new("RGB", (side * _OVERSAMPLE,) * 2)
    canvas = Canvas(ImageDraw.Draw(image), image.width / 2, image.height / 2, image.width / 2)
    variation = random_variation(rng)
    canvas.box(-1, -1, 1, 1, wall_color(variation.tint))
    for kind, look in scene:
        if kind == "LOC":
            draw_place(canvas.at(variation.dx, 0.0, 1.0), look, variation)
    figures = [(kind, look) for kind, look in scene if kind != "LOC"]
    corners = rng.sample(_CORNERS, len(figures)) if len(scene) > 1 else [(0.0, 0.0)]
    for (kind, look), (x, y) in zip(figures, corners, strict=False):
        size = rng.uniform(0.34, 0.66) if len(scene) > 1 else rng.uniform(0.5, 1.0)
        _DRAW[kind](canvas.at(x + variation.dx, y + variation.dy, size), look, variation)
    return image.reduce(_OVERSAMPLE)


def scene_attributes(scene: Scene) -> set[Attribute]:
    """Return the attributes that are visible in an image of `scene`. Glasses, moon and headgear may be absent."""
    attributes = {
        (part, getattr(look, field))
        for kind, look in scene
        for field, (part, _) in _PARTS[kind].items()
        if part != "headgear" or look.style in ("cap", "beanie")
    }
    return attributes & _ATTRIBUTE_INDEX.keys()


def attribute_targets(scenes: Sequence[Scene]) -> torch.Tensor:
    """Return the attributes of scenes as zeros and ones, float32 (N, number of attributes)."""
    targets = torch.zeros(len(scenes), len(ATTRIBUTES))
    for row, scene in enumerate(scenes):
        targets[row, [_ATTRIBUTE_INDEX[attribute] for attribute in scene_attributes(scene)]] = 1.0
    return targets
