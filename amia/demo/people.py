"""A person: face and shoulders."""

from amia.demo.looks import Look
from amia.demo.palette import BRIGHT, HAIRS, INK, SKINS, Colour, darker, shade
from amia.demo.pen import Pen
from amia.demo.variation import Variation


def draw_person(pen: Pen, look: Look, variation: Variation) -> None:
    """Face and shoulders; `main` is the shirt, `second` the headgear, spectacles are the accessory."""
    skin = shade(SKINS[look.extra], light=variation.light)
    hair = shade(HAIRS[look.detail], variation.hue, variation.light)
    shirt = shade(BRIGHT[look.main], variation.hue, variation.light)
    headgear = shade(BRIGHT[look.second], variation.hue, variation.light)
    _hair_behind(pen, look.style, hair)
    pen.oval(0, 1.0, 0.86, 0.52, shirt)
    pen.box(-0.86, 0.98, 0.86, 1.12, shirt)
    pen.box(-0.16, 0.3, 0.16, 0.62, darker(skin, 0.88), 0.1)
    pen.oval(-0.5, -0.08, 0.1, 0.13, darker(skin, 0.9))
    pen.oval(0.5, -0.08, 0.1, 0.13, darker(skin, 0.9))
    pen.oval(0, -0.1, 0.5, 0.58, skin)
    _hair_before(pen, look.style, hair, headgear)
    _face(pen, look.accessory, variation.mood)


def _hair_behind(pen: Pen, style: str, hair: Colour) -> None:
    if style == "long":
        pen.oval(0, -0.2, 0.68, 0.66, hair)
        pen.box(-0.68, -0.2, 0.68, 0.6, hair, 0.12)
    elif style == "bun":
        pen.oval(0, -0.82, 0.26, 0.24, hair)
        pen.oval(0, -0.22, 0.56, 0.56, hair)
    elif style == "curly":
        for x, y in ((-0.5, -0.5), (0.5, -0.5), (-0.6, -0.15), (0.6, -0.15), (-0.25, -0.72), (0.25, -0.72)):
            pen.oval(x, y, 0.28, 0.28, hair)
    elif style == "spiky":
        spikes = [(-0.56, -0.2), (-0.62, -0.75), (-0.32, -0.6), (-0.2, -0.98), (0, -0.66), (0.2, -0.98), (0.32, -0.6)]
        pen.polygon([*spikes, (0.62, -0.75), (0.56, -0.2)], hair)
    elif style in ("short", "cap", "beanie"):
        pen.oval(0, -0.2, 0.56, 0.54, hair)


def _hair_before(pen: Pen, style: str, hair: Colour, headgear: Colour) -> None:
    if style in ("short", "long", "bun", "curly", "spiky"):
        pen.pie(0, -0.2, 0.52, 0.52, 195, 345, hair)
    if style == "cap":
        pen.pie(0, -0.28, 0.56, 0.5, 180, 360, headgear)
        pen.box(-0.1, -0.36, 0.86, -0.22, headgear, 0.06)
    elif style == "beanie":
        pen.pie(0, -0.3, 0.56, 0.6, 180, 360, headgear)
        pen.box(-0.58, -0.42, 0.58, -0.24, darker(headgear), 0.08)
        pen.oval(0, -0.92, 0.14, 0.14, darker(headgear))
    elif style == "bald":
        pen.pie(0, 0.08, 0.5, 0.46, 20, 160, hair)
        pen.oval(0, 0.1, 0.36, 0.24, darker(hair, 0.85))


def _face(pen: Pen, spectacles: bool, mood: float) -> None:
    for x in (-0.2, 0.2):
        pen.oval(x, -0.08, 0.07, 0.08, INK)
        if spectacles:
            pen.ring(x, -0.08, 0.17, 0.17, 0.06, INK)
    if mood < 0.4:
        pen.oval(0, 0.23, 0.12, 0.1, (150, 30, 40))
    elif mood < 0.7:
        pen.pie(0, 0.16, 0.22, 0.18, 0, 180, (150, 30, 40))
    else:
        pen.box(-0.16, 0.2, 0.16, 0.26, (150, 30, 40))
