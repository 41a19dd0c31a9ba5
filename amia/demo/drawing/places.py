"""Draw places: a landscape that fills the background of the image."""

from collections.abc import Callable

from amia.demo.drawing.appearance import Look, Variation
from amia.demo.drawing.canvas import BRIGHT, GROUNDS, SKIES, Canvas, Color, darken, shade

FAR = 2.5
"""Extent of landscapes in all directions, so that they fill images of any shape."""


def draw_place(canvas: Canvas, look: Look, variation: Variation) -> None:
    """Draw a landscape. `main` colors its landmark; the accessory turns the sun into a moon."""
    sky = shade(SKIES[look.extra], variation.tint * 2 - 0.5, variation.light)
    ground = shade(GROUNDS[look.detail], variation.hue, variation.light)
    landmark = shade(BRIGHT[look.main], variation.hue, variation.light)
    sun = BRIGHT["white"] if look.accessory else BRIGHT["yellow"]
    canvas.box(-FAR, -FAR, FAR, FAR, sky)
    x, y = -0.62 + 0.5 * variation.mood, -0.66 + 0.16 * abs(variation.mood - 0.5)
    canvas.oval(x, y, 0.19, 0.19, sun)
    if look.accessory:
        canvas.oval(x + 0.1, y - 0.05, 0.16, 0.16, sky)
    _SCENERIES[look.style](canvas, ground, landmark)


def _hills(canvas: Canvas, ground: Color, landmark: Color) -> None:
    canvas.oval(-0.8, 1.1, 1.1, 1.0, landmark)
    canvas.oval(0.9, 1.2, 1.1, 0.9, darken(landmark, 0.8))
    canvas.box(-FAR, 0.72, FAR, FAR, ground)


def _mountains(canvas: Canvas, ground: Color, landmark: Color) -> None:
    for x, top, half in ((0.62, -0.1, 0.8), (-0.35, -0.42, 0.95)):
        canvas.polygon([(x - half, 0.75), (x, top), (x + half, 0.75)], landmark)
        canvas.polygon([(x - half * 0.25, top + 0.28), (x, top), (x + half * 0.25, top + 0.28)], BRIGHT["white"])
    canvas.box(-FAR, 0.6, FAR, FAR, ground)


def _skyline(canvas: Canvas, ground: Color, landmark: Color) -> None:
    for index, top in enumerate((0.1, -0.25, 0.2, -0.45, -0.05, 0.25, -0.3, 0.15)):
        left = -1.36 + 0.34 * index
        wall = landmark if index % 2 else darken(landmark, 0.75)
        canvas.box(left, top, left + 0.3, 0.8, wall)
        for row in range(3):
            canvas.box(left + 0.09, top + 0.1 + 0.2 * row, left + 0.2, top + 0.18 + 0.2 * row, (250, 232, 150))
    canvas.box(-FAR, 0.7, FAR, FAR, ground)


def _bridge(canvas: Canvas, ground: Color, landmark: Color) -> None:
    canvas.box(-FAR, 0.55, FAR, FAR, (64, 128, 196))
    canvas.arc(0, 0.45, 0.95, 0.75, 180, 360, 0.13, landmark)
    for x in (-0.6, -0.3, 0.0, 0.3, 0.6):
        canvas.box(x - 0.03, -0.2 if abs(x) < 0.5 else 0.0, x + 0.03, 0.45, landmark)
    canvas.box(-FAR, 0.38, FAR, 0.54, landmark)
    canvas.box(-FAR, 0.85, FAR, FAR, ground)


def _sea(canvas: Canvas, ground: Color, landmark: Color) -> None:
    canvas.box(-FAR, 0.1, FAR, FAR, (48, 110, 190))
    for y in (0.3, 0.5, 0.7):
        canvas.box(-FAR, y, FAR, y + 0.06, (110, 170, 226))
    canvas.polygon([(-0.5, 0.3), (0.3, 0.3), (0.15, 0.5), (-0.35, 0.5)], darken(ground, 0.6))
    canvas.polygon([(-0.08, -0.4), (-0.08, 0.24), (0.42, 0.24)], landmark)
    canvas.polygon([(-0.14, -0.25), (-0.14, 0.24), (-0.48, 0.24)], darken(landmark, 0.8))
    canvas.box(-FAR, 0.85, FAR, FAR, ground)


def _tower(canvas: Canvas, ground: Color, landmark: Color) -> None:
    canvas.polygon([(-0.3, 0.75), (-0.1, -0.35), (0.1, -0.35), (0.3, 0.75)], landmark)
    canvas.box(-0.26, -0.5, 0.26, -0.32, darken(landmark, 0.7))
    canvas.polygon([(-0.2, -0.5), (0, -0.95), (0.2, -0.5)], landmark)
    canvas.box(-0.07, 0.35, 0.07, 0.75, darken(landmark, 0.5))
    canvas.oval(-1.0, 0.95, 0.7, 0.5, darken(ground, 0.8))
    canvas.oval(1.0, 0.95, 0.7, 0.5, darken(ground, 0.8))
    canvas.box(-FAR, 0.7, FAR, FAR, ground)


def _desert(canvas: Canvas, ground: Color, landmark: Color) -> None:
    canvas.polygon([(-1.6, 0.6), (-0.55, 0.05), (0.5, 0.6)], darken(ground, 0.8))
    canvas.box(-FAR, 0.45, FAR, FAR, ground)
    canvas.box(0.22, -0.4, 0.46, 0.75, landmark, 0.12)
    canvas.box(-0.1, -0.05, 0.06, 0.3, landmark, 0.07)
    canvas.box(-0.1, 0.16, 0.3, 0.3, landmark, 0.07)
    canvas.box(0.62, -0.25, 0.78, 0.15, landmark, 0.07)
    canvas.box(0.4, 0.02, 0.78, 0.16, landmark, 0.07)


def _forest(canvas: Canvas, ground: Color, landmark: Color) -> None:
    canvas.box(-FAR, 0.5, FAR, FAR, ground)
    for x, size in ((-0.9, 0.9), (-0.1, 1.1), (0.8, 0.95)):
        canvas.box(x - 0.07, 0.3, x + 0.07, 0.72, (96, 62, 40))
        for level in range(3):
            top = 0.42 - size * (0.42 + 0.28 * level)
            half = size * (0.42 - 0.09 * level)
            canvas.polygon(
                [(x - half, top + 0.45 * size), (x, top), (x + half, top + 0.45 * size)],
                darken(landmark, 0.8 + 0.1 * level),
            )


_SCENERIES: dict[str, Callable[[Canvas, Color, Color], None]] = {
    "hills": _hills,
    "mountains": _mountains,
    "skyline": _skyline,
    "bridge": _bridge,
    "sea": _sea,
    "tower": _tower,
    "desert": _desert,
    "forest": _forest,
}
