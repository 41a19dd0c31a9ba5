"""Canvas with the local coordinates of a figure (x and y in [-1, 1], y downwards), and the colors of the demo world."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

Color = tuple[int, int, int]

BRIGHT: dict[str, Color] = {
    "red": (222, 48, 56),
    "orange": (245, 140, 30),
    "yellow": (250, 214, 50),
    "green": (52, 168, 72),
    "cyan": (40, 196, 210),
    "blue": (44, 88, 218),
    "purple": (140, 60, 200),
    "pink": (244, 96, 178),
    "white": (246, 246, 246),
    "black": (36, 36, 42),
}
"""Colors that identify a look. They remain distinguishable under `shade`."""

SKINS: tuple[Color, ...] = ((250, 218, 186), (232, 184, 140), (184, 124, 80), (120, 78, 52))

HAIRS: tuple[Color, ...] = (
    (40, 32, 30),
    (112, 66, 34),
    (240, 206, 96),
    (198, 76, 34),
    (170, 170, 178),
    (236, 90, 180),
)

SKIES: tuple[Color, ...] = (
    (136, 196, 240),
    (250, 176, 120),
    (46, 48, 104),
    (236, 150, 190),
    (190, 226, 196),
    (206, 206, 214),
)

GROUNDS: tuple[Color, ...] = (
    (70, 140, 62),
    (206, 160, 84),
    (120, 82, 58),
    (88, 96, 120),
    (150, 60, 70),
    (56, 110, 140),
)

INK: Color = (40, 36, 40)
"""Color of outlines, eyes and glasses."""


def shade(color: Color, hue: float = 0.5, light: float = 0.5) -> Color:
    """Shift the hue by up to 0.02 and the brightness by up to 12 %, for arguments in [0, 1]; 0.5 changes nothing."""
    h, s, v = colorsys.rgb_to_hsv(*(channel / 255 for channel in color))
    v = min(1.0, v * (1 + 0.24 * (light - 0.5)))
    r, g, b = colorsys.hsv_to_rgb((h + 0.04 * (hue - 0.5)) % 1, s, v)
    return round(r * 255), round(g * 255), round(b * 255)


def wall_color(tint: float) -> Color:
    """Return the background of a post without a place: a pale color whose hue is `tint`, in [0, 1]."""
    r, g, b = colorsys.hsv_to_rgb(tint % 1, 0.16, 0.86)
    return round(r * 255), round(g * 255), round(b * 255)


def darken(color: Color, share: float = 0.7) -> Color:
    """Multiply every channel of `color` by `share`."""
    return round(color[0] * share), round(color[1] * share), round(color[2] * share)


Point = tuple[float, float]


@dataclass(frozen=True)
class Canvas:
    """Draws with the origin at pixel (`x`, `y`) and a unit of `scale` pixels."""

    draw: ImageDraw.ImageDraw
    x: float
    y: float
    scale: float

    def at(self, x: float, y: float, scale: float) -> "Canvas":
        """Return a canvas for a figure that is centered at (x, y) and `scale` times as large."""
        return Canvas(self.draw, self.x + x * self.scale, self.y + y * self.scale, self.scale * scale)

    def _pixel(self, point: Point) -> Point:
        return self.x + point[0] * self.scale, self.y + point[1] * self.scale

    def box(self, left: float, top: float, right: float, bottom: float, fill: Color, round_by: float = 0.0) -> None:
        """Draw a filled rectangle with corners rounded by `round_by` units."""
        corners = [self._pixel((left, top)), self._pixel((right, bottom))]
        self.draw.rounded_rectangle(corners, round_by * self.scale, fill=fill)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Color) -> None:
        """Draw a filled ellipse around (x, y)."""
        self.draw.ellipse([self._pixel((x - rx, y - ry)), self._pixel((x + rx, y + ry))], fill=fill)

    def pie(self, x: float, y: float, rx: float, ry: float, start: float, end: float, fill: Color) -> None:
        """Draw a filled slice of an ellipse; angles in degrees clockwise from three o'clock."""
        self.draw.pieslice([self._pixel((x - rx, y - ry)), self._pixel((x + rx, y + ry))], start, end, fill=fill)

    def ring(self, x: float, y: float, rx: float, ry: float, width: float, fill: Color) -> None:
        """Draw the outline of an ellipse."""
        corners = [self._pixel((x - rx, y - ry)), self._pixel((x + rx, y + ry))]
        self.draw.ellipse(corners, outline=fill, width=max(1, round(width * self.scale)))

    def arc(
        self, x: float, y: float, rx: float, ry: float, start: float, end: float, width: float, fill: Color
    ) -> None:
        """Draw an arc of an ellipse; angles in degrees clockwise from three o'clock."""
        corners = [self._pixel((x - rx, y - ry)), self._pixel((x + rx, y + ry))]
        self.draw.arc(corners, start, end, fill=fill, width=max(1, round(width * self.scale)))

    def polygon(self, points: Sequence[Point], fill: Color) -> None:
        """Draw a filled polygon."""
        self.draw.polygon([self._pixel(point) for point in points], fill=fill)

    def line(self, points: Sequence[Point], width: float, fill: Color) -> None:
        """Draw a line through `points`."""
        self.draw.line([self._pixel(point) for point in points], fill=fill, width=max(1, round(width * self.scale)))
