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
    assert abs(pixels.std() - 62) < 3  # 64, but for the twentieth part that is clipped
    flat = pixels.reshape(-1, 3).astype(float)
    assert abs(np.corrcoef(flat.T)[0, 1]) < 0.05, "channels are drawn apart"
    np.testing.assert_array_equal(pixels, noise_image(64, 3))
    assert (pixels != noise_image(64, 4)).mean() > 0.9


@given(st.lists(st.text(), unique=True, max_size=40), st.integers(0, 5))
def test_every_value_finds_another_post(ids: list[str], seed: int) -> None:
    values = [float(number) for number in range(len(ids))]
    exchanged = shuffle_thetas(ids, values, seed)
    assert sorted(exchanged) == values
    if len(ids) > 1:
        assert all(mine != own for mine, own in zip(exchanged, values, strict=True))


@given(st.lists(st.text(), unique=True, min_size=2, max_size=20), st.randoms())
def test_the_order_of_the_posts_changes_nothing(ids: list[str], random) -> None:
    values = {name: float(number) for number, name in enumerate(ids)}
    once = dict(zip(ids, shuffle_thetas(ids, list(values.values()), 0), strict=True))
    other = list(ids)
    random.shuffle(other)
    assert dict(zip(other, shuffle_thetas(other, [values[name] for name in other], 0), strict=True)) == once


def test_every_control_names_an_arm_that_is_none() -> None:
    assert set(CONTROLS) < set(ARMS)
    assert {rule for rule in CONTROLS.values() if rule in CONTROLS} == set()
