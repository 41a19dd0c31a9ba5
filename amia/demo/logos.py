"""An organisation: a badge with a mark inside."""

from math import cos, pi, sin

from amia.demo.looks import MARKS, Look
from amia.demo.palette import BRIGHT, Colour, darker, shade
from amia.demo.pen import Pen, Point
from amia.demo.variation import Variation


def draw_logo(pen: Pen, look: Look, variation: Variation) -> None:
    """A badge in the main colour, outlined, with a mark in the second colour."""
    badge = shade(BRIGHT[look.main], variation.hue, variation.light)
    mark = shade(BRIGHT[look.second], variation.hue, variation.light)
    outline = (250, 250, 250) if look.main == "black" else darker(badge, 0.45)
    _badge(pen, look.style, outline)
    _badge(pen.at(0, 0, 0.88), look.style, badge)
    _mark(pen.at(0, 0.04, 0.9 if look.style != "star" else 0.68), MARKS[look.detail], mark, badge)


def _spokes(count: int, radii: tuple[float, ...], turn: float) -> list[Point]:
    """`count` points around the centre whose radii take turns."""
    angles = [turn + 2 * pi * step / count for step in range(count)]
    return [(radii[step % len(radii)] * cos(a), radii[step % len(radii)] * sin(a)) for step, a in enumerate(angles)]


def _badge(pen: Pen, style: str, fill: Colour) -> None:
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


def _mark(pen: Pen, mark: str, fill: Colour, behind: Colour) -> None:
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
