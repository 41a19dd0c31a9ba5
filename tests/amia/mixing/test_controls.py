"""Noise images and shuffled thetas."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from amia.mixing.arms import ARMS, CONTROLS
from amia.mixing.controls import noise_image, shuffle_thetas


def test_noise_is_gaussian_around_mid_gray() -> None:
    pixels = noise_image(64, 3)
    assert pixels.shape == (64, 64, 3)
    assert pixels.dtype == np.uint8
    assert abs(pixels.mean() - 127.5) < 2
    assert abs(pixels.std() - 62) < 3  # less than 64, since five percent of the values are clipped
    flat = pixels.reshape(-1, 3).astype(float)
    assert abs(np.corrcoef(flat.T)[0, 1]) < 0.05, "channels are independent"
    np.testing.assert_array_equal(pixels, noise_image(64, 3))
    assert (pixels != noise_image(64, 4)).mean() > 0.9


@given(st.lists(st.text(), unique=True, max_size=40), st.integers(0, 5))
def test_shuffling_moves_every_value(ids: list[str], seed: int) -> None:
    values = [float(number) for number in range(len(ids))]
    shuffled = shuffle_thetas(ids, values, seed)
    assert sorted(shuffled) == values
    if len(ids) > 1:
        assert all(after != before for after, before in zip(shuffled, values, strict=True))


@given(st.lists(st.text(), unique=True, min_size=2, max_size=20), st.randoms())
def test_shuffling_does_not_depend_on_post_order(ids: list[str], random) -> None:
    values = {post_id: float(number) for number, post_id in enumerate(ids)}
    shuffled = dict(zip(ids, shuffle_thetas(ids, list(values.values()), 0), strict=True))
    other = list(ids)
    random.shuffle(other)
    assert dict(zip(other, shuffle_thetas(other, [values[post_id] for post_id in other], 0), strict=True)) == shuffled


def test_controls_follow_arms_that_are_not_controls() -> None:
    assert set(CONTROLS) < set(ARMS)
    assert {rule for rule in CONTROLS.values() if rule in CONTROLS} == set()
