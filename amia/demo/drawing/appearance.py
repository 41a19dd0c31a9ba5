"""What each entity looks like: fixed once, a function of its place among the entities of its type."""

import random
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from amia.demo.drawing.canvas import BRIGHT, GROUNDS, HAIRS, SKIES, SKINS
from amia.demo.names import ENTITIES, KINDS, Entity

STYLES = {
    "PER": ("short", "long", "bun", "spiky", "curly", "cap", "beanie", "bald"),
    "LOC": ("hills", "mountains", "skyline", "bridge", "sea", "tower", "desert", "forest"),
    "ORG": ("circle", "square", "diamond", "hexagon", "star", "shield"),
    "MISC": ("cup", "phone", "cube", "ticket", "ball", "book", "guitar", "rocket"),
}
"""The drawn forms of each type."""

MARKS = ("bar", "ring", "cross", "triangle", "chevron", "dots")
"""What stands inside the badge of an organization."""


class Look(NamedTuple):
    """Everything a drawing needs to know about an entity.

    `style` is one of its type's `STYLES`; `main` and `second` name colors of `BRIGHT`; `extra` indexes what only some
    types have (skin, sky), `detail` likewise (hair, ground, mark); `accessory` is a pair of spectacles, or a moon.
    """

    style: str
    main: str
    second: str
    extra: int
    detail: int
    accessory: bool


@cache
def _looks() -> dict[Entity, Look]:
    looks = {}
    for kind in KINDS:
        rng = random.Random(f"looks of {kind}")
        styles = STYLES[kind]
        colors = {style: rng.sample(list(BRIGHT), len(BRIGHT)) for style in styles}
        for place, entity in enumerate(ENTITIES[kind]):
            # Styles take turns, each time in a color it has not had: no two entities share style and main color.
            style = styles[place % len(styles)]
            main = colors[style][place // len(styles)]
            second = rng.choice([color for color in BRIGHT if color != main])
            extra = rng.randrange(len(SKIES) if kind == "LOC" else len(SKINS))
            detail = rng.randrange({"PER": len(HAIRS), "LOC": len(GROUNDS)}.get(kind, len(MARKS)))
            looks[entity] = Look(style, main, second, extra, detail, rng.random() < 0.4)
    return looks


def look_of(entity: Entity) -> Look:
    """The stable look of an entity."""
    return _looks()[entity]


@dataclass(frozen=True)
class Variation:
    """Free choices of one image. The first five lie in [0, 1], 0.5 being the plain look.

    `tint` colors the wall or the sky, `light` brightens, `hue` turns the main colors slightly, `mood` moves the mouth
    and the sun, `reading` picks the meaning of an ambiguous name where the sentence leaves it open. `dx`, `dy` move the
    things (in units of half the image's side) and `zoom` resizes them; only photographs use these.
    """

    tint: float = 0.5
    light: float = 0.5
    hue: float = 0.5
    mood: float = 0.5
    reading: float = 0.5
    dx: float = 0.0
    dy: float = 0.0
    zoom: float = 1.0


def photographed(rng: random.Random) -> Variation:
    """A random variation as photographs have it."""
    return Variation(
        tint=rng.random(),
        light=rng.random(),
        hue=rng.random(),
        mood=rng.random(),
        dx=rng.uniform(-0.2, 0.2),
        dy=rng.uniform(-0.15, 0.15),
        zoom=rng.uniform(0.7, 1.15),
    )
