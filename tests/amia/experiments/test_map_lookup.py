"""Interpolation on a map, against planes, whose interpolation is exact, and cases computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.experiments.map_lookup import Location, interpolate, locate, zero_line
from tests.helpers.when_maps import KNOWN, MISMATCHED, linear_gain, make_map

MAP = make_map()


def test_locates_a_point_of_the_map() -> None:
    for point in MAP.points:
        assert point.original is not None
        assert point.synthesized is not None
        location = locate(MAP, point.original.value, point.synthesized.value)
        assert (location.mismatched, location.known) == pytest.approx((point.mismatched, point.known), abs=1e-6)
        assert not location.outside


def test_locates_between_two_points_by_hand() -> None:
    # A quarter of the way from 20 % (share .77) to 40 % (.59), and a third of the way from .5 (.5) to .8 (.74).
    location = locate(MAP, 0.725, 0.58)
    assert (location.mismatched, location.known) == pytest.approx((0.25, 0.6), abs=1e-4)


@given(st.floats(0, 0.6), st.floats(0.5, 1), st.floats(-0.2, 0.2), st.floats(-0.2, 0.2))
def test_finds_the_place_if_the_shares_depend_on_both(
    mismatched: float, known: float, on_known: float, on_mismatched: float
) -> None:
    def original(m: float, k: float) -> float:
        return 0.8 - 0.8 * m + on_known * (k - 0.8)

    def synthesized(m: float, k: float) -> float:
        return 0.2 + 0.6 * k + on_mismatched * m

    when = make_map(original=original, synthesized=synthesized)
    location = locate(when, original(mismatched, known), synthesized(mismatched, known))
    assert (location.mismatched, location.known) == pytest.approx((mismatched, known), abs=1e-3)


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
    location = locate(MAP, *shares)
    assert (location.mismatched, location.known) == pytest.approx((expected.mismatched, expected.known), abs=1e-6)
    assert location.outside == expected.outside


def test_a_share_that_falls_for_once_does_not_mislead() -> None:
    dented = {0.5: 0.5, 0.8: 0.45, 1.0: 0.9}
    when = make_map(synthesized=lambda m, k: dented[k])
    assert locate(when, 0.5, 0.7).known == pytest.approx(0.9, abs=1e-3)  # halfway from .5 (at .8) to .9 (at 1)


@given(st.floats(0, 0.6), st.floats(0.5, 1))
def test_interpolates_a_plane_exactly(mismatched: float, known: float) -> None:
    gains = MAP.gains("adaptive", "original")[0]
    assert interpolate(MAP, gains, Location(mismatched, known, False)) == pytest.approx(linear_gain(mismatched, known))


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
