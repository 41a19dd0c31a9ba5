"""Interpolation on the map of when augmentation helps: the place of a corpus, the values there, the break-even."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from amia.experiments.match_shares import Share
from amia.experiments.when_map import MapPoint, WhenMap

__all__ = ["Location", "Match", "locate", "refine", "zero_line"]

Grid = NDArray[np.float64]
"""A value of every point of the map, [M, K]: rows by the share of mismatched images, columns by that of known names."""
Mask = NDArray[np.bool_]
"""Marks some places of the map, [R, C]."""
GridPoint = tuple[float, float]
"""Row and column of a grid as real numbers: (0.5, 1.0) is halfway between the first two points of the second column."""

_STEPS = 20
"""Places between two neighboring points of the map, in each direction."""
_INTERPOLATION_ERROR = 0.01
"""Standard error of a share that is assumed for the interpolation: a large corpus must not fall between places."""
_CHI_SQUARE = 5.991464547107979
"""The 95 percentile of the chi-square distribution with two degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Location:
    """A place on the map."""

    mismatched: float
    """Share of mismatched images, within the range of the map."""
    known: float
    """Share of known names, within the range of the map."""
    outside: bool
    """Whether no place of the map has such shares, so that this is only the one with the nearest ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """The places of a map that the shares of a corpus allow."""

    location: Location
    """The most likely one."""
    index: tuple[int, int]
    """The same in the grids of `refine`."""
    possible: Mask
    """Every place that the shares do not exclude, itself included."""


def locate(when: WhenMap, original: Share, synthesized: Share) -> Match:
    """Return the place of the map whose measured shares of matching images are most like those of a corpus.

    Between the points of the map, its measured shares are interpolated linearly. Two corpora at different places may
    have similar shares: an image has a low theta if it shows something else, and also if the models do not know the
    names. So every place is possible whose squared distance from the shares, in standard errors of theirs and of the
    map's own, exceeds the smallest one by no more than the 95 % bound.

    Args:
        when: A map with measured shares at all points.
        original: The posts' own images that match.
        synthesized: The synthesized images that match.
    """
    distance = _squared_distance(when, _original, original) + _squared_distance(when, _synthesized, synthesized)
    row, column = map(int, np.unravel_index(distance.argmin(), distance.shape))
    mismatched, known = float(_places(when.mismatched)[row]), float(_places(when.known)[column])
    location = Location(mismatched, known, bool(distance.min() > _CHI_SQUARE))
    return Match(location, (row, column), distance <= distance.min() + _CHI_SQUARE)


def refine(when: WhenMap, values: Grid) -> Grid:
    """Return the bilinear interpolation of a value at all places: 20 steps between two neighboring points."""
    columns = [np.interp(_places(when.known), when.known, row) for row in values]
    return np.stack(
        [np.interp(_places(when.mismatched), when.mismatched, column) for column in np.transpose(columns)], 1
    )


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


def _places(positions: Sequence[float]) -> Grid:
    """Return the positions of the points and of the places between them."""
    between = [np.linspace(start, end, _STEPS, endpoint=False) for start, end in pairwise(positions)]
    return np.concatenate([*between, positions[-1:]])


def _squared_distance(when: WhenMap, share_of: Callable[[MapPoint], Share | None], share: Share) -> Grid:
    """Return the squared distance of a share from that of each place, in standard errors of their difference."""

    def value(point: MapPoint) -> float | None:
        measured = share_of(point)
        return None if measured is None else measured.value

    def variance(point: MapPoint) -> float | None:
        measured = share_of(point)
        return None if measured is None else _variance(measured)

    difference = refine(when, when.grid(value)) - share.value
    squared: Grid = difference**2 / (refine(when, when.grid(variance)) + _variance(share) + _INTERPOLATION_ERROR**2)
    return squared


def _variance(share: Share) -> float:
    """Return the variance of a share by Agresti and Coull (1998), which is not 0 at shares of 0 and 1."""
    total = share.total + 4
    value = (share.matched + 2) / total
    return value * (1 - value) / total


def _original(point: MapPoint) -> Share | None:
    return point.original


def _synthesized(point: MapPoint) -> Share | None:
    return point.synthesized
