"""Interpolation on a map, against planes, whose interpolation is exact, and cases computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.experiments.map_lookup import Location, locate, refine, zero_line
from tests.helpers.when_maps import KNOWN, MISMATCHED, linear_gain, make_map, make_share

MAP = make_map()


def test_locates_a_point_of_the_map() -> None:
    for point in MAP.points:
        assert point.original is not None
        assert point.synthesized is not None
        match = locate(MAP, point.original, point.synthesized)
        assert (match.location.mismatched, match.location.known) == pytest.approx((point.mismatched, point.known))
        assert not match.location.outside
        assert match.possible[match.index]


def test_locates_between_two_points_by_hand() -> None:
    # A quarter of the way from 20 % (share .77) to 40 % (.59), and a third of the way from .5 (.5) to .8 (.74).
    location = locate(MAP, make_share(0.725), make_share(0.58)).location
    assert (location.mismatched, location.known) == pytest.approx((0.25, 0.6), abs=0.01)


@given(st.floats(0, 0.6), st.floats(0.5, 1), st.floats(-0.2, 0.2), st.floats(-0.2, 0.2))
def test_finds_the_place_if_the_shares_depend_on_both(
    mismatched: float, known: float, on_known: float, on_mismatched: float
) -> None:
    def original(m: float, k: float) -> float:
        return 0.8 - 0.8 * m + on_known * (k - 0.8)

    def synthesized(m: float, k: float) -> float:
        return 0.2 + 0.6 * k + on_mismatched * m

    when = make_map(original=original, synthesized=synthesized)
    match = locate(when, make_share(original(mismatched, known)), make_share(synthesized(mismatched, known)))
    assert (match.location.mismatched, match.location.known) == pytest.approx((mismatched, known), abs=0.02)
    assert not match.location.outside


def test_places_that_look_alike_are_all_possible() -> None:
    """Unknown names lower both shares as mismatched images do."""
    when = make_map(original=lambda m, k: 0.5 - 0.4 * m + 0.4 * k, synthesized=lambda m, k: 0.5)
    match = locate(when, make_share(0.5 - 0.4 * 0.2 + 0.4 * 0.6), make_share(0.5))
    rows, columns = np.where(match.possible)
    # From 10 % at half known to 60 % at all known, and a little more for the errors of the shares.
    assert 4 <= rows.min() <= 10
    assert rows.max() == 60
    assert (columns.min(), columns.max()) == (0, 40)
    mismatched = np.interp(rows, [0, 20, 40, 60], MISMATCHED)
    known = np.interp(columns, [0, 20, 40], KNOWN)
    assert np.abs(known - mismatched - 0.4).max() < 0.08


def test_few_images_allow_more_places() -> None:
    possible = [
        locate(MAP, make_share(0.6, total), make_share(0.6, total)).possible.sum() for total in (100, 1000, 9000)
    ]
    assert possible == sorted(possible, reverse=True)
    assert possible[0] > 4 * possible[2]


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ((1.0, 0.95), Location(0.0, 1.0, True)),
        ((0.0, 0.0), Location(0.6, 0.5, True)),
        ((0.41, 0.95), Location(0.6, 1.0, True)),
        ((0.41, 0.9), Location(0.6, 1.0, False)),
    ],
)
def test_stays_on_the_map(shares: tuple[float, float], expected: Location) -> None:
    assert locate(MAP, *map(make_share, shares)).location == expected


@given(st.integers(0, 60), st.integers(0, 40))
def test_interpolates_a_plane_exactly(row: int, column: int) -> None:
    mismatched = np.interp(row, [0, 20, 40, 60], MISMATCHED)
    known = np.interp(column, [0, 20, 40], KNOWN)
    assert refine(MAP, MAP.gains("adaptive", "original")[0])[row, column] == pytest.approx(
        linear_gain(mismatched, known)
    )


def test_zero_line_by_hand() -> None:
    values = np.array([[-1.0, 3.0], [1.0, 7.0]])
    # The value is zero a quarter along the upper edge, halfway along the left one, and an eighth along the diagonal.
    assert {frozenset(segment) for segment in zero_line(values)} == {
        frozenset({(0.0, 0.25), (0.125, 0.125)}),
        frozenset({(0.5, 0.0), (0.125, 0.125)}),
    }


@given(
    st.lists(
        st.lists(st.floats(-9, 9).filter(lambda value: abs(value) > 1e-3), min_size=3, max_size=3),
        min_size=4,
        max_size=4,
    )
)
def test_zero_line_separates_signs(rows: list[list[float]]) -> None:
    values = np.array(rows)
    segments = zero_line(values)
    signs_differ = (values > 0).any() and (values < 0).any()
    assert bool(segments) == signs_differ
    for segment in segments:
        for row, column in segment:  # zero by linear interpolation along its edge, which may be a diagonal
            low = values[int(np.floor(row)), int(np.floor(column))]
            high = values[int(np.ceil(row)), int(np.ceil(column))]
            share = max(row % 1, column % 1)
            assert low + share * (high - low) == pytest.approx(0, abs=1e-9)


def test_zero_line_avoids_missing_values() -> None:
    assert zero_line(np.array([[-1.0, 1.0], [np.nan, 1.0]])) == [((0.0, 0.5), (0.5, 0.5))]
    assert zero_line(np.array([[-1.0, 1.0, 2.0]])) == []


def test_grid_has_rows_of_mismatch() -> None:
    assert MAP.grid(lambda point: point.mismatched).tolist() == [[m] * len(KNOWN) for m in MISMATCHED]
    assert MAP.grid(lambda point: point.known).tolist() == [list(KNOWN)] * len(MISMATCHED)
