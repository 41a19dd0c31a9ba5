"""Pictures as people post them: of any size and shape, grainy, things not quite in their place."""

import io
import random
from collections.abc import Sequence

import numpy as np
from PIL import Image

from amia.demo.drawing import draw
from amia.demo.names import Entity
from amia.demo.variation import photographed

_ASPECTS = (1.0, 1.0, 4 / 3, 3 / 4, 3 / 2, 2 / 3)
_SIDES = (64, 80, 96, 112)
_GRAIN = 10.0
_LEFT_OUT = 0.2


def photograph(entities: Sequence[Entity], rng: random.Random) -> Image.Image:
    """A photograph of `entities`, its shorter side 64 to 112 pixels, its longer one up to half as much again.

    Nobody photographs all they mention: of several entities one is missing in every fifth picture.
    """
    if len(entities) > 1 and rng.random() < _LEFT_OUT:
        entities = rng.sample(entities, len(entities) - 1)
    side, aspect = rng.choice(_SIDES), rng.choice(_ASPECTS)
    width, height = round(side * max(1.0, aspect)), round(side * max(1.0, 1 / aspect))
    picture = draw(entities, photographed(rng), width, height)
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
