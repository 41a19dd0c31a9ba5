"""The little of SVG that our charts need: a plot that is as wide as its place, with text that does not shrink.

Across, everything stands at percents of the width; down, at pixels. Curves and bars are drawn in a box of 1000 units
across that is stretched to the width, with strokes that keep their own.
"""

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

__all__ = ["Plot", "bar", "curve", "joined", "ticks"]

ACROSS = 1000
"""Units from the left end of a plot to its right end."""


def joined(parts: Iterable[Markup]) -> Markup:
    """Markup after markup."""
    return Markup("").join(parts)


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from `low` to `high`, about so many, 1, 2 or 5 times a power of ten apart."""
    if not low < high:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def curve(points: Iterable[tuple[float, float]], css: str) -> Markup:
    """A line through points: across in [0, 1], down in pixels."""
    places = " ".join(f"{ACROSS * x:.1f},{y:.1f}" for x, y in points)
    return Markup('<polyline class="{}" points="{}"/>').format(css, places)


def bar(left: float, right: float, top: float, bottom: float, css: str) -> Markup:
    """A filled rectangle: across in [0, 1], down in pixels."""
    x, width, height = ACROSS * left, ACROSS * (right - left), max(0.0, bottom - top)
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        css, x, top, width, height
    )


class Plot:
    """One chart: `inner` pixels of plot, with its scales, between a line of room above and one below."""

    TOP, BOTTOM = 10, 26

    def __init__(self, *, inner: int, low: float, high: float, most: float) -> None:
        """`low` and `high`: the scale across; `most`: the value at the top of the plot, 0 lies at its foot."""
        self._inner, self._low, self._high, self._most = inner, low, high, most or 1.0
        self._shapes: list[Markup] = []
        self._lines: list[Markup] = []
        self._texts: list[Markup] = []

    @property
    def foot(self) -> float:
        """Where the value 0 lies, in pixels down."""
        return float(self.TOP + self._inner)

    def x(self, value: float) -> float:
        """Across, in [0, 1]."""
        return (value - self._low) / (self._high - self._low)

    def y(self, value: float, most: float | None = None) -> float:
        """Down, in pixels; `most` where another scale than the plot's own is meant."""
        return self.foot - self._inner * value / (most or self._most)

    def add(self, *shapes: Markup) -> None:
        """What is stretched: bars and curves."""
        self._shapes += shapes

    def left_axis(self, values: Sequence[float], labels: Sequence[str]) -> None:
        """Lines across, with their labels left of the plot."""
        for value, label in zip(values, labels, strict=True):
            y = self.y(value)
            self._lines.append(Markup('<line class="grid" x1="0" x2="100%" y1="{0:.1f}" y2="{0:.1f}"/>').format(y))
            self._texts.append(_text(label, "0", y + 4, "left", dx=-8))

    def right_axis(self, values: Sequence[float], labels: Sequence[str], most: float, css: str) -> None:
        """Labels right of the plot, on a scale of their own."""
        for value, label in zip(values, labels, strict=True):
            self._texts.append(_text(label, "100%", self.y(value, most) + 4, f"right {css}", dx=8))

    def bottom_axis(self, values: Sequence[float], labels: Sequence[str]) -> None:
        """Labels below the plot."""
        for value, label in zip(values, labels, strict=True):
            place = self.x(value)
            end = "first" if place < 0.03 else "last" if place > 0.97 else "middle"
            self._texts.append(_text(label, f"{100 * place:.2f}%", self.foot + 18, end))

    def upright(self, value: float, css: str) -> None:
        """A line from foot to top."""
        place, top = f"{100 * self.x(value):.2f}%", float(self.TOP)
        self._lines.append(
            Markup('<line class="{0}" x1="{1}" x2="{1}" y1="{2:.1f}" y2="{3:.1f}"/>').format(css, place, top, self.foot)
        )

    def drawn(self, name: str, title: str, said: str) -> Markup:
        """The whole chart; `name` makes its ids, `title` and `said` are for who cannot see it."""
        height = self.TOP + self._inner + self.BOTTOM
        return Markup(
            '<svg class="chart" width="100%" height="{height}" role="img" aria-labeledby="{name}-t {name}-d">'
            '<title id="{name}-t">{title}</title><desc id="{name}-d">{said}</desc>{grid}'
            '<svg viewBox="0 0 {across} {height}" width="100%" height="{height}" preserveAspectRatio="none">{shapes}'
            '</svg><line class="foot" x1="0" x2="100%" y1="{foot:.1f}" y2="{foot:.1f}"/>{text}</svg>'
        ).format(
            height=height,
            name=name,
            title=title,
            said=said,
            grid=joined(self._lines),
            across=ACROSS,
            shapes=joined(self._shapes),
            foot=self.foot,
            text=joined(self._texts),
        )


def _text(label: str, x: str, y: float, css: str, dx: float = 0) -> Markup:
    return Markup('<text class="{}" x="{}" y="{:.1f}" dx="{:g}">{}</text>').format(css, x, y, dx, label)
