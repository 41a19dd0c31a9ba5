"""What the tiny ResNet learns to name: how things look, never what they are called.

An attribute is a part and its value, such as `("hair", 2)` or `("scenery", "bridge")`.
"""

from collections.abc import Sequence

import torch

from amia.demo.looks import MARKS, STYLES
from amia.demo.names import Kind
from amia.demo.palette import BRIGHT, GROUNDS, HAIRS, SKIES, SKINS
from amia.demo.training.inventions import Scene

Attribute = tuple[str, str | int]

_COLOURS = tuple(BRIGHT)
_PARTS: dict[Kind, dict[str, tuple[str, Sequence[str | int]]]] = {
    "PER": {
        "style": ("head", STYLES["PER"]),
        "main": ("shirt", _COLOURS),
        "second": ("headgear", _COLOURS),
        "extra": ("skin", range(len(SKINS))),
        "detail": ("hair", range(len(HAIRS))),
        "accessory": ("spectacles", (True,)),
    },
    "LOC": {
        "style": ("scenery", STYLES["LOC"]),
        "main": ("landmark", _COLOURS),
        "extra": ("sky", range(len(SKIES))),
        "detail": ("ground", range(len(GROUNDS))),
        "accessory": ("moon", (True,)),
    },
    "ORG": {
        "style": ("badge", STYLES["ORG"]),
        "main": ("badge colour", _COLOURS),
        "second": ("mark colour", _COLOURS),
        "detail": ("mark", range(len(MARKS))),
    },
    "MISC": {
        "style": ("object", STYLES["MISC"]),
        "main": ("object colour", _COLOURS),
        "second": ("trim colour", _COLOURS),
    },
}
"""For each type, as what a field of a look is seen, and the values it takes; fields that are not drawn are missing."""

ATTRIBUTES: tuple[Attribute, ...] = tuple(
    (part, value) for parts in _PARTS.values() for part, values in parts.values() for value in values
)
"""Every attribute, in the order of the training targets."""

_PLACE = {attribute: place for place, attribute in enumerate(ATTRIBUTES)}


def attributes_of(scene: Scene) -> set[Attribute]:
    """The attributes that a picture of `scene` shows; spectacles, a moon and headgear only where there are some."""
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
