"""Eq. 9 on pixels and on encoded images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from amia.images import ImageSettings, decode, encode_jpeg
from amia.mixing.mixup import NEGLIGIBLE_RATIO, mix_images, mixup

SETTINGS = ImageSettings(size=32)

images = arrays(np.uint8, (3, 4, 3))
ratios = st.floats(0, 1)


@pytest.fixture
def pair() -> tuple[np.ndarray, bytes]:
    original = np.random.default_rng(3).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return original, encode_jpeg(np.full((32, 32, 3), 200, np.uint8), 95, source="synthesized")


@given(images, images, ratios)
def test_equals_eq_9_to_the_nearest_gray_level(original, synthesized, ratio):
    exact = ratio * original.astype(np.float64) + (1 - ratio) * synthesized.astype(np.float64)
    assert np.abs(mixup(original, synthesized, ratio) - exact).max() <= 0.5 + 1e-4


@pytest.mark.promise(25)
@given(images, images, ratios)
def test_pixels_lie_between_their_sources(original, synthesized, ratio):
    mixed = mixup(original, synthesized, ratio)
    assert mixed.dtype == np.uint8
    assert np.all(mixed >= np.minimum(original, synthesized))
    assert np.all(mixed <= np.maximum(original, synthesized))


@pytest.mark.promise(25)
@given(images, images, ratios, ratios)
def test_pixels_change_monotonically(original, synthesized, a, b):
    smaller, larger = (mixup(original, synthesized, ratio).astype(int) for ratio in sorted((a, b)))
    assert np.all((larger - smaller) * (original.astype(int) - synthesized) >= 0)


@pytest.mark.promise(25)
@given(images, images)
def test_ratios_0_and_1_are_exact(original, synthesized):
    assert np.array_equal(mixup(original, synthesized, 1), original)
    assert np.array_equal(mixup(original, synthesized, 0), synthesized)


def test_rounds_half_to_even():
    black, one, three = (np.full((1, 1, 3), level, np.uint8) for level in (0, 1, 3))
    assert mixup(one, black, 0.5).max() == 0
    assert mixup(three, black, 0.5).max() == 2


def test_rejects_invalid_arguments():
    image = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(ValueError, match="differ in shape"):
        mixup(image, np.zeros((2, 3, 3), np.uint8), 0.5)
    for ratio in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="outside"):
            mixup(image, image, ratio)


def test_encoded_images_at_ratios_0_and_1(pair: tuple[np.ndarray, bytes]) -> None:
    original, synthesized = pair
    assert mix_images(original, synthesized, 0.0, SETTINGS) == synthesized
    assert mix_images(None, synthesized, 0.0, SETTINGS) == synthesized
    encoded = encode_jpeg(original, SETTINGS.quality, source="original")
    assert mix_images(original, synthesized, 1.0, SETTINGS) == encoded
    assert mix_images(original, None, 1.0, SETTINGS) == encoded


def test_negligible_ratio_counts_as_0(pair: tuple[np.ndarray, bytes]) -> None:
    original, synthesized = pair
    assert mix_images(original, synthesized, NEGLIGIBLE_RATIO * 0.99, SETTINGS) == synthesized
    assert mix_images(original, synthesized, NEGLIGIBLE_RATIO * 4, SETTINGS) != synthesized
    black, white = np.zeros((1, 1, 3)), np.full((1, 1, 3), 255.0)
    share = NEGLIGIBLE_RATIO * 0.99
    assert np.array_equal(np.rint(share * white + (1 - share) * black), black)


def test_encoded_images_are_blended(pair: tuple[np.ndarray, bytes]) -> None:
    _, synthesized = pair
    dark = np.zeros((32, 32, 3), np.uint8)
    means = [
        float(np.asarray(decode(mix_images(dark, synthesized, ratio, SETTINGS), SETTINGS)).mean())
        for ratio in (0.1, 0.5, 0.9)
    ]
    assert means == pytest.approx([180, 100, 20], abs=2)


def test_missing_image_is_an_error(pair: tuple[np.ndarray, bytes]) -> None:
    original, synthesized = pair
    for first, second, ratio in (
        (original, None, 0.5),
        (None, synthesized, 0.5),
        (None, synthesized, 1.0),
        (original, None, 0.0),
    ):
        with pytest.raises(ValueError, match="needs both images"):
            mix_images(first, second, ratio, SETTINGS)
