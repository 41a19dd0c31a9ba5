"""What a picture shows beyond its entities: light, tint, mood, and for photographs also place and size."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Variation:
    """Free choices of one picture. The first five lie in [0, 1], 0.5 being the plain look.

    `tint` colours the wall or the sky, `light` brightens, `hue` turns the main colours slightly, `mood` moves the mouth
    and the sun, `reading` picks the meaning of an ambiguous name where the sentence leaves it open. `dx`, `dy` move the
    things (in units of half the picture's side) and `zoom` resizes them; only photographs use these.
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
