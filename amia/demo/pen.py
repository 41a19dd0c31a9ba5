"""A pen that draws in the coordinates of the thing being drawn: [-1, 1] across, y downwards."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

from amia.demo.palette import Colour

Point = tuple[float, float]


@dataclass(frozen=True)
class Pen:
    """Draws on `draw` with the origin at pixel (`x`, `y`) and a unit of `scale` pixels."""

    draw: ImageDraw.ImageDraw
    x: float
    y: float
    scale: float

    def at(self, x: float, y: float, scale: float) -> "Pen":
        """A pen for a thing that is centred on (x, y) and `scale` times as large."""
        return Pen(self.draw, self.x + x * self.scale, self.y + y * self.scale, self.scale * scale)

    def _pixel(self, point: Point) -> Point:
        return self.x + point[0] * self.scale, self.y + point[1] * self.scale

    def box(self, left: float, top: float, right: float, bottom: float, fill: Colour, round_by: float = 0.0) -> None:
        """A filled rectangle, its corners rounded by `round_by` units."""
        corners = [self._pixel((left, top)), self._pixel((right, bottom))]
        self.draw.rounded_rectangle(corners, round_by * self.scale, fill=fill)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        """A filled ellipse around (x, y)."""
        self.draw.ellipse([self._pixel((x - rx, y - ry)), self._pixel((x + rx, y + ry))], fill=fill)

    def pie(self, x: float, y: float, rx: float, ry: float, start: float, end: float, fill: Colour) -> None:
        """A filled slice of an ellipse, degrees clockwise from three o'clock."""
        self.draw.pieslice([self._pixel((x - rx, y - ry)), self._pixel((x + rx, y + ry))], start, end, fill=fill)

    def ring(self, x: float, y: float, rx: float, ry: float, width: float, fill: Colour) -> None:
        """The outline of an ellipse."""
        corners = [self._pixel((x - rx, y - ry)), self._pixel((x + rx, y + ry))]
        self.draw.ellipse(corners, outline=fill, width=max(1, round(width * self.scale)))

    def arc(
        self, x: float, y: float, rx: float, ry: float, start: float, end: float, width: float, fill: Colour
    ) -> None:
        """A part of the outline of an ellipse, degrees clockwise from three o'clock."""
        corners = [self._pixel((x - rx, y - ry)), self._pixel((x + rx, y + ry))]
        self.draw.arc(corners, start, end, fill=fill, width=max(1, round(width * self.scale)))

    def polygon(self, points: Sequence[Point], fill: Colour) -> None:
        """A filled polygon."""
        self.draw.polygon([self._pixel(point) for point in points], fill=fill)

    def line(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        """A line through `points`."""
        self.draw.line([self._pixel(point) for point in points], fill=fill, width=max(1, round(width * self.scale)))
