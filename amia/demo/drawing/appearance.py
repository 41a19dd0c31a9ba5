"""Appearance of each entity: fixed, and the same for both rare names of a pair of twins."""

import random
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from amia.demo.drawing.canvas import BRIGHT, GROUNDS, HAIRS, SKIES, SKINS
from amia.demo.names import AMBIGUOUS, FAMOUS, KINDS, Kind, NamedEntity
from amia.demo.rare_names import rare_twins

STYLES = {
    "PER": ("short", "long", "bun", "spiky", "curly", "cap", "beanie", "bald"),
    "LOC": ("hills", "mountains", "skyline", "bridge", "sea", "tower", "desert", "forest"),
    "ORG": ("circle", "square", "diamond", "hexagon", "star", "shield"),
    "MISC": ("cup", "phone", "cube", "ticket", "ball", "book", "guitar", "rocket"),
}
"""Shapes of each type."""

MARKS = ("bar", "ring", "cross", "triangle", "chevron", "dots")
"""Shapes inside the badge of an organization."""


class Look(NamedTuple):
    """Visual attributes of an entity.

    `style` is one of the `STYLES` of its type. `main` and `second` are names of colors in `BRIGHT`. `extra` is an index
    of `SKINS` or `SKIES`, `detail` an index of `HAIRS`, `GROUNDS` or `MARKS`, depending on the type. `accessory` is a
    pair of glasses or a moon.
    """

    style: str
    main: str
    second: str
    extra: int
    detail: int
    accessory: bool


@cache
def _looks() -> dict[NamedEntity, Look]:
    looks = {}
    for kind in KINDS:
        rng = random.Random(f"looks of {kind}")
        styles = STYLES[kind]
        colors = {style: rng.sample(list(BRIGHT), len(BRIGHT)) for style in styles}
        for index, entity in enumerate(FAMOUS[kind] + AMBIGUOUS[kind]):
            # Styles alternate, each time in an unused color: no two of these entities share style and main color.
            style = styles[index % len(styles)]
            looks[entity] = _random_look(kind, style, colors[style][index // len(styles)], rng)
        # Rare names look like famous ones: a model of this size cannot learn a look for each of them.
        of_kind = [looks[entity] for entity in FAMOUS[kind] + AMBIGUOUS[kind]]
        for twins in rare_twins(kind):
            looks[twins.known] = looks[twins.unknown] = rng.choice(of_kind)
    return looks


def _random_look(kind: Kind, style: str, main: str, rng: random.Random) -> Look:
    second = rng.choice([color for color in BRIGHT if color != main])
    extra = rng.randrange(len(SKIES) if kind == "LOC" else len(SKINS))
    detail = rng.randrange({"PER": len(HAIRS), "LOC": len(GROUNDS)}.get(kind, len(MARKS)))
    return Look(style, main, second, extra, detail, rng.random() < 0.4)


def get_look(entity: NamedEntity) -> Look:
    """Return the look of an entity."""
    return _looks()[entity]


@dataclass(frozen=True)
class Variation:
    """Random properties of one image. The first five are in [0, 1], with 0.5 as the neutral value.

    `tint` colors the wall or the sky, `light` changes the brightness, `hue` shifts the main colors slightly, `mood`
    moves the mouth and the sun, `reading` selects the entity of an ambiguous name if the sentence does not determine
    it. `dx` and `dy` move the figures (in units of half the image's side) and `zoom` resizes them; only photographs use
    these three.
    """

    tint: float = 0.5
    light: float = 0.5
    hue: float = 0.5
    mood: float = 0.5
    reading: float = 0.5
    dx: float = 0.0
    dy: float = 0.0
    zoom: float = 1.0


def random_variation(rng: random.Random) -> Variation:
    """Return a random variation of a photograph."""
    return Variation(
        tint=rng.random(),
        light=rng.random(),
        hue=rng.random(),
        mood=rng.random(),
        dx=rng.uniform(-0.2, 0.2),
        dy=rng.uniform(-0.15, 0.15),
        zoom=rng.uniform(0.7, 1.15),
    )
