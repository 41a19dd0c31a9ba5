import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from amia.mixing.mixup import mixup

images = arrays(np.uint8, (3, 4, 3))
ratios = st.floats(0, 1)


@given(images, images, ratios)
def test_eq_9_to_the_nearest_gray_level(original, synthesized, ratio):
    exact = ratio * original.astype(np.float64) + (1 - ratio) * synthesized.astype(np.float64)
    assert np.abs(mixup(original, synthesized, ratio) - exact).max() <= 0.5 + 1e-4


@pytest.mark.promise(25)
@given(images, images, ratios)
def test_between_its_two_sources(original, synthesized, ratio):
    mixed = mixup(original, synthesized, ratio)
    assert mixed.dtype == np.uint8
    assert np.all(mixed >= np.minimum(original, synthesized))
    assert np.all(mixed <= np.maximum(original, synthesized))


@pytest.mark.promise(25)
@given(images, images, ratios, ratios)
def test_every_pixel_moves_one_way(original, synthesized, a, b):
    less, more = (mixup(original, synthesized, ratio).astype(int) for ratio in sorted((a, b)))
    assert np.all((more - less) * (original.astype(int) - synthesized) >= 0)


@pytest.mark.promise(25)
@given(images, images)
def test_the_ends_are_exact(original, synthesized):
    assert np.array_equal(mixup(original, synthesized, 1), original)
    assert np.array_equal(mixup(original, synthesized, 0), synthesized)


def test_halves_go_to_the_even_gray_level():
    black, one, three = (np.full((1, 1, 3), level, np.uint8) for level in (0, 1, 3))
    assert mixup(one, black, 0.5).max() == 0
    assert mixup(three, black, 0.5).max() == 2


def test_what_cannot_be_mixed():
    image = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(ValueError, match="differ in shape"):
        mixup(image, np.zeros((2, 3, 3), np.uint8), 0.5)
    for ratio in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="outside"):
            mixup(image, image, ratio)
