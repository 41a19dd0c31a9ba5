"""A thing: what people play, buy, watch and win."""

from collections.abc import Callable

from amia.demo.looks import Look
from amia.demo.palette import BRIGHT, INK, Colour, darker, shade
from amia.demo.pen import Pen
from amia.demo.variation import Variation


def draw_object(pen: Pen, look: Look, variation: Variation) -> None:
    """An object in two colours."""
    main = shade(BRIGHT[look.main], variation.hue, variation.light)
    second = shade(BRIGHT[look.second], variation.hue, variation.light)
    _OBJECTS[look.style](pen, main, second)


def _cup(pen: Pen, main: Colour, second: Colour) -> None:
    pen.ring(-0.52, -0.42, 0.3, 0.32, 0.12, darker(main, 0.8))
    pen.ring(0.52, -0.42, 0.3, 0.32, 0.12, darker(main, 0.8))
    pen.box(-0.58, -0.9, 0.58, -0.35, main)
    pen.pie(0, -0.36, 0.58, 0.66, 0, 180, main)
    pen.box(-0.1, 0.2, 0.1, 0.62, darker(main, 0.8))
    pen.box(-0.55, 0.6, 0.55, 0.94, second, 0.06)


def _phone(pen: Pen, main: Colour, second: Colour) -> None:
    pen.box(-0.56, -1.0, 0.56, 1.0, INK, 0.16)
    pen.box(-0.5, -0.94, 0.5, 0.94, main, 0.12)
    pen.box(-0.38, -0.74, 0.38, 0.6, second)
    pen.oval(0, 0.77, 0.11, 0.11, INK)


def _cube(pen: Pen, main: Colour, second: Colour) -> None:
    pen.polygon([(0, -0.95), (0.86, -0.48), (0, 0.0), (-0.86, -0.48)], second)
    pen.polygon([(-0.86, -0.48), (0, 0.0), (0, 0.98), (-0.86, 0.5)], main)
    pen.polygon([(0.86, -0.48), (0, 0.0), (0, 0.98), (0.86, 0.5)], darker(main, 0.7))


def _ticket(pen: Pen, main: Colour, second: Colour) -> None:
    pen.box(-0.98, -0.56, 0.98, 0.56, darker(main, 0.5), 0.12)
    pen.box(-0.92, -0.5, 0.92, 0.5, main, 0.1)
    for y in (-0.26, 0.0, 0.26):
        pen.box(-0.7, y - 0.07, 0.2, y + 0.07, second)
    pen.oval(0.58, 0, 0.2, 0.2, second)


def _ball(pen: Pen, main: Colour, second: Colour) -> None:
    pen.oval(0, 0, 0.92, 0.92, darker(main, 0.45))
    pen.oval(0, 0, 0.86, 0.86, main)
    pen.pie(0, 0, 0.86, 0.86, 60, 120, second)
    pen.pie(0, 0, 0.86, 0.86, 180, 240, second)
    pen.pie(0, 0, 0.86, 0.86, 300, 360, second)


def _book(pen: Pen, main: Colour, second: Colour) -> None:
    pen.polygon([(-0.98, -0.72), (-0.06, -0.52), (-0.06, 0.86), (-0.98, 0.66)], main)
    pen.polygon([(0.98, -0.72), (0.06, -0.52), (0.06, 0.86), (0.98, 0.66)], main)
    pen.polygon([(-0.86, -0.8), (0, -0.58), (0, 0.72), (-0.86, 0.52)], BRIGHT["white"])
    pen.polygon([(0.86, -0.8), (0, -0.58), (0, 0.72), (0.86, 0.52)], (224, 224, 218))
    for y in (-0.4, -0.12, 0.16):
        pen.box(-0.7, y, -0.16, y + 0.13, second)
        pen.box(0.16, y, 0.7, y + 0.13, second)


def _guitar(pen: Pen, main: Colour, second: Colour) -> None:
    pen.box(-0.1, -1.0, 0.1, 0.2, (104, 66, 40))
    pen.box(-0.2, -1.04, 0.2, -0.78, second, 0.06)
    pen.oval(0, 0.08, 0.42, 0.36, main)
    pen.oval(0, 0.58, 0.62, 0.46, main)
    pen.oval(0, 0.4, 0.22, 0.22, second)


def _rocket(pen: Pen, main: Colour, second: Colour) -> None:
    pen.polygon([(-0.3, 0.55), (0, 1.06), (0.3, 0.55)], (250, 150, 30))
    pen.polygon([(-0.34, 0.0), (-0.78, 0.72), (-0.3, 0.6)], second)
    pen.polygon([(0.34, 0.0), (0.78, 0.72), (0.3, 0.6)], second)
    pen.pie(0, -0.3, 0.38, 0.76, 180, 360, second)
    pen.box(-0.38, -0.32, 0.38, 0.62, main)
    pen.oval(0, 0.06, 0.19, 0.19, (190, 226, 250))


_OBJECTS: dict[str, Callable[[Pen, Colour, Colour], None]] = {
    "cup": _cup,
    "phone": _phone,
    "cube": _cube,
    "ticket": _ticket,
    "ball": _ball,
    "book": _book,
    "guitar": _guitar,
    "rocket": _rocket,
}
