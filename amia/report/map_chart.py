"""Heat map of the gains of one arm, as SVG. Colors are defined by the classes of the page's style sheet."""

import numpy as np
from markupsafe import Markup

from amia.experiments.map_lookup import GridPoint, Location, zero_line
from amia.experiments.when_map import Baseline, WhenMap
from amia.report.svg import PLOT_WIDTH, curve, join_markup

__all__ = ["map_chart", "max_abs_gain"]

CELL_HEIGHT = 60
"""Height of a cell in pixels."""
BOTTOM = 26
"""Height of the labels below the cells in pixels."""
MAX_OPACITY = 0.42
"""Opacity of the color at the largest gain or loss: text on it stays readable."""

_BASELINES: dict[Baseline, str] = {"original": "the posts' own images", "text": "no images"}


def max_abs_gain(when: WhenMap) -> float:
    """Return the largest gain or loss of any arm over any baseline, for charts with the same colors."""
    gains = [when.gains(arm, over)[0] for arm in when.arms for over in _BASELINES]
    return max((float(np.abs(grid[~np.isnan(grid)]).max(initial=0)) for grid in gains), default=0.0)


def map_chart(
    when: WhenMap, arm: str, over: Baseline, name: str, max_abs: float, location: Location | None = None
) -> Markup:
    """Draw the gains of an arm over a baseline, a row per share of mismatched images, with a line where they are zero.

    Losses are hatched, and a gain or loss whose interval excludes 0 is printed in bold, so that the chart does not
    depend on colors.

    Args:
        when: The map.
        arm: The arm.
        over: What it is compared with.
        name: Prefix of the ids in the chart.
        max_abs: Gain or loss with the strongest color.
        location: A place of the map to mark.
    """
    differences, lows, highs = when.gains(arm, over)
    rows, columns = differences.shape
    height = rows * CELL_HEIGHT
    cells, labels, values = [], [], []
    for row, mismatched in enumerate(when.mismatched):
        center = (row + 0.5) * CELL_HEIGHT
        labels.append(_text(f"{mismatched:.0%}", "0", center + 4, "left", dx=-8))
        for column, known in enumerate(when.known):
            x = f"{100 * (column + 0.5) / columns:.2f}%"
            gain, low, high = (float(grid[row, column]) for grid in (differences, lows, highs))
            if gain != gain:  # nan: no result
                labels.append(_text("–", x, center - 11, "gain"))
                continue
            opacity = MAX_OPACITY * min(1.0, abs(gain) / (max_abs or 1.0))
            cells.append(_cell(name, row, column, columns, gain, opacity))
            clear = " clear" if low > 0 or high < 0 else ""
            labels.append(_text(_signed(gain), x, center - 11, f"gain{clear}"))
            labels.append(_text(f"{_signed(low)} to {_signed(high)}", x, center + 22, "ends"))
            values.append(f"{mismatched:.0%} mismatched, {known:.0%} known: {_signed(gain)}")
    labels += [
        _text(f"{known:.0%}", f"{100 * (column + 0.5) / columns:.2f}%", height + 18, "middle")
        for column, known in enumerate(when.known)
    ]
    lines = [
        curve(((_x(point, columns), _y(point)) for point in segment), "break-even")
        for segment in zero_line(differences)
    ]
    if location is not None:
        labels.append(_marker(when, location))
    return Markup(
        '<svg class="chart map" width="100%" height="{height}" role="img" aria-labelledby="{name}-t {name}-d">'
        '<title id="{name}-t">{title}</title><desc id="{name}-d">{description}</desc>'
        '<defs><pattern id="{name}-hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><line class="hatch" x1="0" x2="0" y1="0" y2="7"/></pattern></defs>{cells}'
        '<svg viewBox="0 0 {width} {plot}" width="100%" height="{plot}" preserveAspectRatio="none">{lines}</svg>'
        "{labels}</svg>"
    ).format(
        name=name,
        height=height + BOTTOM,
        plot=height,
        width=PLOT_WIDTH,
        title=f"F1 of {arm} images minus that of {_BASELINES[over]}, in percentage points",
        description="; ".join(values),
        cells=join_markup(cells),
        lines=join_markup(lines),
        labels=join_markup(labels),
    )


def _cell(name: str, row: int, column: int, columns: int, gain: float, opacity: float) -> Markup:
    """Return a colored rectangle, with a second, hatched one on it for a loss."""
    box = Markup('x="{:.2f}%" y="{}" width="{:.2f}%" height="{}"').format(
        100 * column / columns, row * CELL_HEIGHT, 100 / columns, CELL_HEIGHT
    )
    css = "loss" if gain < 0 else "win"
    cell = Markup('<rect class="cell {}" {} fill-opacity="{:.2f}"/>').format(css, box, opacity)
    if gain < 0:
        cell += Markup('<rect class="hatched" {} fill="url(#{}-hatch)"/>').format(box, name)
    return cell


def _marker(when: WhenMap, location: Location) -> Markup:
    """Return a ring at a place of the map, between the centers of its cells."""
    row = np.interp(location.mismatched, when.mismatched, range(len(when.mismatched)))
    column = np.interp(location.known, when.known, range(len(when.known)))
    point = (float(row), float(column))
    return Markup(
        '<circle class="place-halo" cx="{0:.2f}%" cy="{1:.1f}" r="9"/><circle class="place" cx="{0:.2f}%" cy="{1:.1f}" '
        'r="9"/><circle class="place-center" cx="{0:.2f}%" cy="{1:.1f}" r="2.5"/>'
    ).format(100 * _x(point, len(when.known)), _y(point))


def _x(point: GridPoint, columns: int) -> float:
    """Return the horizontal position of a point of the grid, in [0, 1]."""
    return (point[1] + 0.5) / columns


def _y(point: GridPoint) -> float:
    """Return the vertical position of a point of the grid, in pixels."""
    return (point[0] + 0.5) * CELL_HEIGHT


def _signed(value: float) -> str:
    """Format with one decimal and a sign that is as wide as the plus: `+1.7`, `−0.4`, `0.0`."""
    text = f"{value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def _text(label: str, x: str, y: float, css: str, dx: float = 0) -> Markup:
    return Markup('<text class="{}" x="{}" y="{:.1f}" dx="{:g}">{}</text>').format(css, x, y, dx, label)
