"""Interpolation on the map of when augmentation helps: the place of a corpus, the values there, the break-even."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from amia.experiments.when_map import MapPoint, WhenMap

__all__ = ["Location", "interpolate", "locate", "zero_line"]

Grid = NDArray[np.float64]
"""A value of every point of the map, [M, K]: rows by the share of mismatched images, columns by that of known names."""
GridPoint = tuple[float, float]
"""Row and column of a grid as real numbers: (0.5, 1.0) is halfway between the first two points of the second column."""

_MAX_STEPS = 100
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Location:
    """A place on the map."""

    mismatched: float
    """Share of mismatched images, within the range of the map."""
    known: float
    """Share of known names, within the range of the map."""
    outside: bool
    """Whether a measured share is beyond those of the map, so that this is the nearest place on its edge."""


def locate(when: WhenMap, original: float, synthesized: float) -> Location:
    """Return the place of the map at which the measured shares of matching images are those of a corpus.

    Args:
        when: A map with measured shares at all points.
        original: Share of the posts' own images that match, in [0, 1].
        synthesized: Share of the synthesized images that match, in [0, 1].

    Between the points, the measured shares of the map are interpolated linearly. The first one decides on the share of
    mismatched images, the second one on that of known names. Each depends a little on the other: they are computed in
    turn until neither changes. Where a measured share does not change strictly from one point to the next, its running
    maximum counts.
    """
    originals, synthesized_grid = when.grid(_original), when.grid(_synthesized)
    mismatched, known = float(np.mean(when.mismatched)), float(np.mean(when.known))
    for _ in range(_MAX_STEPS):
        before = mismatched, known
        known = _invert(when.known, _column_values(when, synthesized_grid, mismatched), synthesized)
        mismatched = _invert(when.mismatched, 1 - _row_values(when, originals, known), 1 - original)
        if max(abs(mismatched - before[0]), abs(known - before[1])) < _TOLERANCE:
            break
    ranges = (
        (original, _row_values(when, originals, known)),
        (synthesized, _column_values(when, synthesized_grid, mismatched)),
    )
    outside = any(not values.min() - _TOLERANCE <= share <= values.max() + _TOLERANCE for share, values in ranges)
    return Location(mismatched, known, outside)


def interpolate(when: WhenMap, values: Grid, location: Location) -> float:
    """Return the bilinear interpolation of a value of the points."""
    return float(np.interp(location.mismatched, when.mismatched, _row_values(when, values, location.known)))


def zero_line(values: Grid) -> list[tuple[GridPoint, GridPoint]]:
    """Return the line on which an interpolated value is zero, as segments between points of the grid.

    Each square of four neighboring points is cut into two triangles, on which the value is interpolated linearly. A
    triangle with a nan has no segment.
    """
    rows, columns = values.shape
    triangles = [
        ((row, column), other, (row + 1, column + 1))
        for row, column in np.ndindex(max(0, rows - 1), max(0, columns - 1))
        for other in ((row, column + 1), (row + 1, column))
    ]
    return [(crossings[0], crossings[1]) for triangle in triangles if (crossings := _crossings(values, triangle))]


def _crossings(values: Grid, triangle: Sequence[tuple[int, int]]) -> list[GridPoint]:
    """Return the two points at which the value changes its sign along the edges of a triangle; none if it does not."""
    if any(np.isnan(values[corner]) for corner in triangle):
        return []
    crossings: list[GridPoint] = []
    for first, second in pairwise((*triangle, triangle[0])):
        low, high = float(values[first]), float(values[second])
        if (low >= 0) != (high >= 0):
            share = low / (low - high)
            crossings.append((first[0] + share * (second[0] - first[0]), first[1] + share * (second[1] - first[1])))
    return crossings


def _row_values(when: WhenMap, values: Grid, known: float) -> Grid:
    """Return the values at a share of known names, [M]."""
    return np.array([np.interp(known, when.known, row) for row in values], np.float64)


def _column_values(when: WhenMap, values: Grid, mismatched: float) -> Grid:
    """Return the values at a share of mismatched images, [K]."""
    return np.array([np.interp(mismatched, when.mismatched, column) for column in values.T], np.float64)


def _invert(positions: Sequence[float], values: Grid, target: float) -> float:
    """Return the position at which values that rise with it reach `target`; the first or last one if they do not."""
    return float(np.interp(target, np.maximum.accumulate(values), positions))


def _original(point: MapPoint) -> float | None:
    return point.original.value if point.original else None


def _synthesized(point: MapPoint) -> float | None:
    return point.synthesized.value if point.synthesized else None
