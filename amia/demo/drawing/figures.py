"""Draw persons (face and shoulders), objects, and organizations (a badge with a mark)."""

from collections.abc import Callable
from math import cos, pi, sin

from amia.demo.drawing.appearance import MARKS, Look, Variation
from amia.demo.drawing.canvas import BRIGHT, HAIRS, INK, SKINS, Canvas, Color, Point, darken, shade


def draw_person(canvas: Canvas, look: Look, variation: Variation) -> None:
    """Draw face and shoulders. `main` colors the shirt, `second` the headgear; the accessory is a pair of glasses."""
    skin = shade(SKINS[look.extra], light=variation.light)
    hair = shade(HAIRS[look.detail], variation.hue, variation.light)
    shirt = shade(BRIGHT[look.main], variation.hue, variation.light)
    headgear = shade(BRIGHT[look.second], variation.hue, variation.light)
    _draw_back_hair(canvas, look.style, hair)
    canvas.oval(0, 1.0, 0.86, 0.52, shirt)
    canvas.box(-0.86, 0.98, 0.86, 1.12, shirt)
    canvas.box(-0.16, 0.3, 0.16, 0.62, darken(skin, 0.88), 0.1)
    canvas.oval(-0.5, -0.08, 0.1, 0.13, darken(skin, 0.9))
    canvas.oval(0.5, -0.08, 0.1, 0.13, darken(skin, 0.9))
    canvas.oval(0, -0.1, 0.5, 0.58, skin)
    _draw_front_hair(canvas, look.style, hair, headgear)
    _draw_face(canvas, look.accessory, variation.mood)


def _draw_back_hair(canvas: Canvas, style: str, hair: Color) -> None:
    if style == "long":
        canvas.oval(0, -0.2, 0.68, 0.66, hair)
        canvas.box(-0.68, -0.2, 0.68, 0.6, hair, 0.12)
    elif style == "bun":
        canvas.oval(0, -0.82, 0.26, 0.24, hair)
        canvas.oval(0, -0.22, 0.56, 0.56, hair)
    elif style == "curly":
        for x, y in ((-0.5, -0.5), (0.5, -0.5), (-0.6, -0.15), (0.6, -0.15), (-0.25, -0.72), (0.25, -0.72)):
            canvas.oval(x, y, 0.28, 0.28, hair)
    elif style == "spiky":
        spikes = [(-0.56, -0.2), (-0.62, -0.75), (-0.32, -0.6), (-0.2, -0.98), (0, -0.66), (0.2, -0.98), (0.32, -0.6)]
        canvas.polygon([*spikes, (0.62, -0.75), (0.56, -0.2)], hair)
    elif style in ("short", "cap", "beanie"):
        canvas.oval(0, -0.2, 0.56, 0.54, hair)


def _draw_front_hair(canvas: Canvas, style: str, hair: Color, headgear: Color) -> None:
    if style in ("short", "long", "bun", "curly", "spiky"):
        canvas.pie(0, -0.2, 0.52, 0.52, 195, 345, hair)
    if style == "cap":
        canvas.pie(0, -0.28, 0.56, 0.5, 180, 360, headgear)
        canvas.box(-0.1, -0.36, 0.86, -0.22, headgear, 0.06)
    elif style == "beanie":
        canvas.pie(0, -0.3, 0.56, 0.6, 180, 360, headgear)
        canvas.box(-0.58, -0.42, 0.58, -0.24, darken(headgear), 0.08)
        canvas.oval(0, -0.92, 0.14, 0.14, darken(headgear))
    elif style == "bald":
        canvas.pie(0, 0.08, 0.5, 0.46, 20, 160, hair)
        canvas.oval(0, 0.1, 0.36, 0.24, darken(hair, 0.85))


def _draw_face(canvas: Canvas, glasses: bool, mood: float) -> None:
    for x in (-0.2, 0.2):
        canvas.oval(x, -0.08, 0.07, 0.08, INK)
        if glasses:
            canvas.ring(x, -0.08, 0.17, 0.17, 0.06, INK)
    if mood < 0.4:
        canvas.oval(0, 0.23, 0.12, 0.1, (150, 30, 40))
    elif mood < 0.7:
        canvas.pie(0, 0.16, 0.22, 0.18, 0, 180, (150, 30, 40))
    else:
        canvas.box(-0.16, 0.2, 0.16, 0.26, (150, 30, 40))


def draw_object(canvas: Canvas, look: Look, variation: Variation) -> None:
    """Draw an object in two colors."""
    main = shade(BRIGHT[look.main], variation.hue, variation.light)
    second = shade(BRIGHT[look.second], variation.hue, variation.light)
    _OBJECTS[look.style](canvas, main, second)


def _cup(canvas: Canvas, main: Color, second: Color) -> None:
    canvas.ring(-0.52, -0.42, 0.3, 0.32, 0.12, darken(main, 0.8))
    canvas.ring(0.52, -0.42, 0.3, 0.32, 0.12, darken(main, 0.8))
    canvas.box(-0.58, -0.9, 0.58, -0.35, main)
    canvas.pie(0, -0.36, 0.58, 0.66, 0, 180, main)
    canvas.box(-0.1, 0.2, 0.1, 0.62, darken(main, 0.8))
    canvas.box(-0.55, 0.6, 0.55, 0.94, second, 0.06)


def _phone(canvas: Canvas, main: Color, second: Color) -> None:
    canvas.box(-0.56, -1.0, 0.56, 1.0, INK, 0.16)
    canvas.box(-0.5, -0.94, 0.5, 0.94, main, 0.12)
    canvas.box(-0.38, -0.74, 0.38, 0.6, second)
    canvas.oval(0, 0.77, 0.11, 0.11, INK)


def _cube(canvas: Canvas, main: Color, second: Color) -> None:
    canvas.polygon([(0, -0.95), (0.86, -0.48), (0, 0.0), (-0.86, -0.48)], second)
    canvas.polygon([(-0.86, -0.48), (0, 0.0), (0, 0.98), (-0.86, 0.5)], main)
    canvas.polygon([(0.86, -0.48), (0, 0.0), (0, 0.98), (0.86, 0.5)], darken(main, 0.7))


def _ticket(canvas: Canvas, main: Color, second: Color) -> None:
    canvas.box(-0.98, -0.56, 0.98, 0.56, darken(main, 0.5), 0.12)
    canvas.box(-0.92, -0.5, 0.92, 0.5, main, 0.1)
    for y in (-0.26, 0.0, 0.26):
        canvas.box(-0.7, y - 0.07, 0.2, y + 0.07, second)
    canvas.oval(0.58, 0, 0.2, 0.2, second)


def _ball(canvas: Canvas, main: Color, second: Color) -> None:
    canvas.oval(0, 0, 0.92, 0.92, darken(main, 0.45))
    canvas.oval(0, 0, 0.86, 0.86, main)
    canvas.pie(0, 0, 0.86, 0.86, 60, 120, second)
    canvas.pie(0, 0, 0.86, 0.86, 180, 240, second)
    canvas.pie(0, 0, 0.86, 0.86, 300, 360, second)


def _book(canvas: Canvas, main: Color, second: Color) -> None:
    canvas.polygon([(-0.98, -0.72), (-0.06, -0.52), (-0.06, 0.86), (-0.98, 0.66)], main)
    canvas.polygon([(0.98, -0.72), (0.06, -0.52), (0.06, 0.86), (0.98, 0.66)], main)
    canvas.polygon([(-0.86, -0.8), (0, -0.58), (0, 0.72), (-0.86, 0.52)], BRIGHT["white"])
    canvas.polygon([(0.86, -0.8), (0, -0.58), (0, 0.72), (0.86, 0.52)], (224, 224, 218))
    for y in (-0.4, -0.12, 0.16):
        canvas.box(-0.7, y, -0.16, y + 0.13, second)
        canvas.box(0.16, y, 0.7, y + 0.13, second)


def _guitar(canvas: Canvas, main: Color, second: Color) -> None:
    canvas.box(-0.1, -1.0, 0.1, 0.2, (104, 66, 40))
    canvas.box(-0.2, -1.04, 0.2, -0.78, second, 0.06)
    canvas.oval(0, 0.08, 0.42, 0.36, main)
    canvas.oval(0, 0.58, 0.62, 0.46, main)
    canvas.oval(0, 0.4, 0.22, 0.22, second)


def _rocket(canvas: Canvas, main: Color, second: Color) -> None:
    canvas.polygon([(-0.3, 0.55), (0, 1.06), (0.3, 0.55)], (250, 150, 30))
    canvas.polygon([(-0.34, 0.0), (-0.78, 0.72), (-0.3, 0.6)], second)
    canvas.polygon([(0.34, 0.0), (0.78, 0.72), (0.3, 0.6)], second)
    canvas.pie(0, -0.3, 0.38, 0.76, 180, 360, second)
    canvas.box(-0.38, -0.32, 0.38, 0.62, main)
    canvas.oval(0, 0.06, 0.19, 0.19, (190, 226, 250))


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


def draw_logo(canvas: Canvas, look: Look, variation: Variation) -> None:
    """Draw a badge in the main color, outlined, with a mark in the second color."""
    badge = shade(BRIGHT[look.main], variation.hue, variation.light)
    mark = shade(BRIGHT[look.second], variation.hue, variation.light)
    outline = (250, 250, 250) if look.main == "black" else darken(badge, 0.45)
    _draw_badge(canvas, look.style, outline)
    _draw_badge(canvas.at(0, 0, 0.88), look.style, badge)
    _draw_mark(canvas.at(0, 0.04, 0.9 if look.style != "star" else 0.68), MARKS[look.detail], mark, badge)


def _radial_points(count: int, radii: tuple[float, ...], turn: float) -> list[Point]:
    """Return `count` points around the center with alternating radii."""
    angles = [turn + 2 * pi * step / count for step in range(count)]
    return [(radii[step % len(radii)] * cos(a), radii[step % len(radii)] * sin(a)) for step, a in enumerate(angles)]


def _draw_badge(canvas: Canvas, style: str, fill: Color) -> None:
    if style == "circle":
        canvas.oval(0, 0, 0.92, 0.92, fill)
    elif style == "square":
        canvas.box(-0.84, -0.84, 0.84, 0.84, fill, 0.16)
    elif style == "diamond":
        canvas.polygon([(0, -1.04), (1.04, 0), (0, 1.04), (-1.04, 0)], fill)
    elif style == "hexagon":
        canvas.polygon(_radial_points(6, (1.0,), 0.0), fill)
    elif style == "star":
        canvas.polygon(_radial_points(10, (1.12, 0.56), -pi / 2), fill)
    else:
        canvas.polygon(
            [(-0.84, -0.9), (0.84, -0.9), (0.84, 0.15), (0.5, 0.7), (0, 1.02), (-0.5, 0.7), (-0.84, 0.15)], fill
        )


def _draw_mark(canvas: Canvas, mark: str, fill: Color, background: Color) -> None:
    if mark == "bar":
        canvas.box(-0.52, -0.18, 0.52, 0.18, fill)
    elif mark == "ring":
        canvas.oval(0, 0, 0.46, 0.46, fill)
        canvas.oval(0, 0, 0.24, 0.24, background)
    elif mark == "cross":
        canvas.box(-0.5, -0.16, 0.5, 0.16, fill)
        canvas.box(-0.16, -0.5, 0.16, 0.5, fill)
    elif mark == "triangle":
        canvas.polygon([(0, -0.48), (0.48, 0.38), (-0.48, 0.38)], fill)
    elif mark == "chevron":
        canvas.polygon([(-0.5, 0.4), (-0.5, 0.05), (0, -0.42), (0.5, 0.05), (0.5, 0.4), (0, -0.05)], fill)
    else:
        for x, y in ((-0.28, -0.28), (0.28, -0.28), (-0.28, 0.28), (0.28, 0.28)):
            canvas.oval(x, y, 0.2, 0.2, fill)
