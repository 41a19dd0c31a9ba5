"""A person: face and shoulders."""

from collections.abc import Callable
from math import cos, pi, sin

from amia.demo.drawing.appearance import MARKS, Look, Variation
from amia.demo.drawing.canvas import BRIGHT, HAIRS, INK, SKINS, Canvas, Color, Point, darker, shade


# MERGED FROM amia.demo.drawing.figures: A thing: what people play, buy, watch and win.
# MERGED FROM amia.demo.drawing.figures: An organization: a badge with a mark inside.
def draw_person(pen: Canvas, look: Look, variation: Variation) -> None:
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


def _hair_behind(pen: Canvas, style: str, hair: Color) -> None:
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


def _hair_before(pen: Canvas, style: str, hair: Color, headgear: Color) -> None:
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


def _face(pen: Canvas, spectacles: bool, mood: float) -> None:
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


def draw_object(pen: Canvas, look: Look, variation: Variation) -> None:
    """An object in two colors."""
    main = shade(BRIGHT[look.main], variation.hue, variation.light)
    second = shade(BRIGHT[look.second], variation.hue, variation.light)
    _OBJECTS[look.style](pen, main, second)


def _cup(pen: Canvas, main: Color, second: Color) -> None:
    pen.ring(-0.52, -0.42, 0.3, 0.32, 0.12, darker(main, 0.8))
    pen.ring(0.52, -0.42, 0.3, 0.32, 0.12, darker(main, 0.8))
    pen.box(-0.58, -0.9, 0.58, -0.35, main)
    pen.pie(0, -0.36, 0.58, 0.66, 0, 180, main)
    pen.box(-0.1, 0.2, 0.1, 0.62, darker(main, 0.8))
    pen.box(-0.55, 0.6, 0.55, 0.94, second, 0.06)


def _phone(pen: Canvas, main: Color, second: Color) -> None:
    pen.box(-0.56, -1.0, 0.56, 1.0, INK, 0.16)
    pen.box(-0.5, -0.94, 0.5, 0.94, main, 0.12)
    pen.box(-0.38, -0.74, 0.38, 0.6, second)
    pen.oval(0, 0.77, 0.11, 0.11, INK)


def _cube(pen: Canvas, main: Color, second: Color) -> None:
    pen.polygon([(0, -0.95), (0.86, -0.48), (0, 0.0), (-0.86, -0.48)], second)
    pen.polygon([(-0.86, -0.48), (0, 0.0), (0, 0.98), (-0.86, 0.5)], main)
    pen.polygon([(0.86, -0.48), (0, 0.0), (0, 0.98), (0.86, 0.5)], darker(main, 0.7))


def _ticket(pen: Canvas, main: Color, second: Color) -> None:
    pen.box(-0.98, -0.56, 0.98, 0.56, darker(main, 0.5), 0.12)
    pen.box(-0.92, -0.5, 0.92, 0.5, main, 0.1)
    for y in (-0.26, 0.0, 0.26):
        pen.box(-0.7, y - 0.07, 0.2, y + 0.07, second)
    pen.oval(0.58, 0, 0.2, 0.2, second)


def _ball(pen: Canvas, main: Color, second: Color) -> None:
    pen.oval(0, 0, 0.92, 0.92, darker(main, 0.45))
    pen.oval(0, 0, 0.86, 0.86, main)
    pen.pie(0, 0, 0.86, 0.86, 60, 120, second)
    pen.pie(0, 0, 0.86, 0.86, 180, 240, second)
    pen.pie(0, 0, 0.86, 0.86, 300, 360, second)


def _book(pen: Canvas, main: Color, second: Color) -> None:
    pen.polygon([(-0.98, -0.72), (-0.06, -0.52), (-0.06, 0.86), (-0.98, 0.66)], main)
    pen.polygon([(0.98, -0.72), (0.06, -0.52), (0.06, 0.86), (0.98, 0.66)], main)
    pen.polygon([(-0.86, -0.8), (0, -0.58), (0, 0.72), (-0.86, 0.52)], BRIGHT["white"])
    pen.polygon([(0.86, -0.8), (0, -0.58), (0, 0.72), (0.86, 0.52)], (224, 224, 218))
    for y in (-0.4, -0.12, 0.16):
        pen.box(-0.7, y, -0.16, y + 0.13, second)
        pen.box(0.16, y, 0.7, y + 0.13, second)


def _guitar(pen: Canvas, main: Color, second: Color) -> None:
    pen.box(-0.1, -1.0, 0.1, 0.2, (104, 66, 40))
    pen.box(-0.2, -1.04, 0.2, -0.78, second, 0.06)
    pen.oval(0, 0.08, 0.42, 0.36, main)
    pen.oval(0, 0.58, 0.62, 0.46, main)
    pen.oval(0, 0.4, 0.22, 0.22, second)


def _rocket(pen: Canvas, main: Color, second: Color) -> None:
    pen.polygon([(-0.3, 0.55), (0, 1.06), (0.3, 0.55)], (250, 150, 30))
    pen.polygon([(-0.34, 0.0), (-0.78, 0.72), (-0.3, 0.6)], second)
    pen.polygon([(0.34, 0.0), (0.78, 0.72), (0.3, 0.6)], second)
    pen.pie(0, -0.3, 0.38, 0.76, 180, 360, second)
    pen.box(-0.38, -0.32, 0.38, 0.62, main)
    pen.oval(0, 0.06, 0.19, 0.19, (190, 226, 250))


_OBJECTS: dict[str, Callable[[Canvas, Color, Color], None]] = {
    "cup": _cup,
    "phone": _phone,
    "cube": _cube,
    "ticket": _ticket,
    "ball": _ball,
    "book": _book,
    "guitar": _guitar,
    "rocket": _rocket,
}


def draw_logo(pen: Canvas, look: Look, variation: Variation) -> None:
    """A badge in the main color, outlined, with a mark in the second color."""
    badge = shade(BRIGHT[look.main], variation.hue, variation.light)
    mark = shade(BRIGHT[look.second], variation.hue, variation.light)
    outline = (250, 250, 250) if look.main == "black" else darker(badge, 0.45)
    _badge(pen, look.style, outline)
    _badge(pen.at(0, 0, 0.88), look.style, badge)
    _mark(pen.at(0, 0.04, 0.9 if look.style != "star" else 0.68), MARKS[look.detail], mark, badge)


def _spokes(count: int, radii: tuple[float, ...], turn: float) -> list[Point]:
    """`count` points around the center whose radii take turns."""
    angles = [turn + 2 * pi * step / count for step in range(count)]
    return [(radii[step % len(radii)] * cos(a), radii[step % len(radii)] * sin(a)) for step, a in enumerate(angles)]


def _badge(pen: Canvas, style: str, fill: Color) -> None:
    if style == "circle":
        pen.oval(0, 0, 0.92, 0.92, fill)
    elif style == "square":
        pen.box(-0.84, -0.84, 0.84, 0.84, fill, 0.16)
    elif style == "diamond":
        pen.polygon([(0, -1.04), (1.04, 0), (0, 1.04), (-1.04, 0)], fill)
    elif style == "hexagon":
        pen.polygon(_spokes(6, (1.0,), 0.0), fill)
    elif style == "star":
        pen.polygon(_spokes(10, (1.12, 0.56), -pi / 2), fill)
    else:
        pen.polygon(
            [(-0.84, -0.9), (0.84, -0.9), (0.84, 0.15), (0.5, 0.7), (0, 1.02), (-0.5, 0.7), (-0.84, 0.15)], fill
        )


def _mark(pen: Canvas, mark: str, fill: Color, behind: Color) -> None:
    if mark == "bar":
        pen.box(-0.52, -0.18, 0.52, 0.18, fill)
    elif mark == "ring":
        pen.oval(0, 0, 0.46, 0.46, fill)
        pen.oval(0, 0, 0.24, 0.24, behind)
    elif mark == "cross":
        pen.box(-0.5, -0.16, 0.5, 0.16, fill)
        pen.box(-0.16, -0.5, 0.16, 0.5, fill)
    elif mark == "triangle":
        pen.polygon([(0, -0.48), (0.48, 0.38), (-0.48, 0.38)], fill)
    elif mark == "chevron":
        pen.polygon([(-0.5, 0.4), (-0.5, 0.05), (0, -0.42), (0.5, 0.05), (0.5, 0.4), (0, -0.05)], fill)
    else:
        for x, y in ((-0.28, -0.28), (0.28, -0.28), (-0.28, 0.28), (0.28, 0.28)):
            pen.oval(x, y, 0.2, 0.2, fill)
