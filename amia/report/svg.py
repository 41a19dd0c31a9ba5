"""Minimal SVG charts: plots as wide as their container, with text of constant size.

Horizontal positions are percentages of the width, vertical positions are pixels. Curves and bars are drawn in a box of
1000 units that is stretched to the width, with non-scaling strokes.
"""

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

__all__ = ["PLOT_WIDTH", "Plot", "bar", "curve", "join_markup", "ticks"]

PLOT_WIDTH = 1000
"""Width of a plot in SVG units."""


def join_markup(parts: Iterable[Markup]) -> Markup:
    """Concatenate markup."""
    return Markup("").join(parts)


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round numbers from `low` to `high`; their distance is 1, 2 or 5 times a power of ten."""
    if not low < high:
        return [low]
    min_step = (high - low) / count
    power = 10.0 ** math.floor(math.log10(min_step))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= min_step * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def curve(points: Iterable[tuple[float, float]], css: str) -> Markup:
    """Return a line through points with x in [0, 1] and y in pixels."""
    coordinates = " ".join(f"{PLOT_WIDTH * x:.1f},{y:.1f}" for x, y in points)
    return Markup('<polyline class="{}" points="{}"/>').format(css, coordinates)


def bar(left: float, right: float, top: float, bottom: float, css: str) -> Markup:
    """Return a filled rectangle with x in [0, 1] and y in pixels."""
    x, width, height = PLOT_WIDTH * left, PLOT_WIDTH * (right - left), max(0.0, bottom - top)
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        css, x, top, width, height
    )


class Plot:
    """A chart with axes.

    Args:
        height: Height of the plot area in pixels.
        low: Left end of the horizontal scale.
        high: Right end of the horizontal scale.
        max_y: Value at the top of the plot area; the value at the bottom is 0.
    """

    TOP, BOTTOM = 10, 26
    """Margins in pixels."""

    def __init__(self, *, height: int, low: float, high: float, max_y: float) -> None:
        self._height, self._low, self._high, self._max_y = height, low, high, max_y or 1.0
        self._shapes: list[Markup] = []
        self._lines: list[Markup] = []
        self._labels: list[Markup] = []

    @property
    def baseline(self) -> float:
        """Vertical position of the value 0, in pixels."""
        return float(self.TOP + self._height)

    def x(self, value: float) -> float:
        """Return the horizontal position of a value, in [0, 1]."""
        return (value - self._low) / (self._high - self._low)

    def y(self, value: float, max_y: float | None = None) -> float:
        """Return the vertical position of a value in pixels; `max_y` overrides the scale of the plot."""
        return self.baseline - self._height * value / (max_y or self._max_y)

    def add(self, *shapes: Markup) -> None:
        """Add bars and curves, which are stretched to the width."""
        self._shapes += shapes

    def left_axis(self, values: Sequence[float], labels: Sequence[str]) -> None:
        """Add horizontal grid lines with labels on the left."""
        for value, label in zip(values, labels, strict=True):
            y = self.y(value)
            self._lines.append(Markup('<line class="grid" x1="0" x2="100%" y1="{0:.1f}" y2="{0:.1f}"/>').format(y))
            self._labels.append(_text(label, "0", y + 4, "left", dx=-8))

    def right_axis(self, values: Sequence[float], labels: Sequence[str], max_y: float, css: str) -> None:
        """Add labels of a separate scale on the right."""
        for value, label in zip(values, labels, strict=True):
            self._labels.append(_text(label, "100%", self.y(value, max_y) + 4, f"right {css}", dx=8))

    def bottom_axis(self, values: Sequence[float], labels: Sequence[str]) -> None:
        """Add labels below the plot area."""
        for value, label in zip(values, labels, strict=True):
            x = self.x(value)
            alignment = "first" if x < 0.03 else "last" if x > 0.97 else "middle"
            self._labels.append(_text(label, f"{100 * x:.2f}%", self.baseline + 18, alignment))

    def vertical_line(self, value: float, css: str) -> None:
        """Add a line from bottom to top at a value of the horizontal scale."""
        x, top = f"{100 * self.x(value):.2f}%", float(self.TOP)
        self._lines.append(
            Markup('<line class="{0}" x1="{1}" x2="{1}" y1="{2:.1f}" y2="{3:.1f}"/>').format(css, x, top, self.baseline)
        )

    def render(self, name: str, title: str, description: str) -> Markup:
        """Return the chart; `name` is the prefix of its ids, `title` and `description` are for screen readers."""
        height = self.TOP + self._height + self.BOTTOM
        return Markup(
            '<svg class="chart" width="100%" height="{height}" role="img" aria-labelledby="{name}-t {name}-d">'
            '<title id="{name}-t">{title}</title><desc id="{name}-d">{description}</desc>{grid}'
            '<svg viewBox="0 0 {width} {height}" width="100%" height="{height}" preserveAspectRatio="none">{shapes}'
            '</svg><line class="baseline" x1="0" x2="100%" y1="{baseline:.1f}" y2="{baseline:.1f}"/>{labels}</svg>'
        ).format(
            height=height,
            name=name,
            title=title,
            description=description,
            grid=join_markup(self._lines),
            width=PLOT_WIDTH,
            shapes=join_markup(self._shapes),
            baseline=self.baseline,
            labels=join_markup(self._labels),
        )


def _text(label: str, x: str, y: float, css: str, dx: float = 0) -> Markup:
    return Markup('<text class="{}" x="{}" y="{:.1f}" dx="{:g}">{}</text>').format(css, x, y, dx, label)
