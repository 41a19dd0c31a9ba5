"""The image of one post in one arm."""

import numpy as np
import pytest

from amia.images import ImageSettings, decode, encode_jpeg
from amia.mixing.mixup import INVISIBLE, mix_images

SETTINGS = ImageSettings(size=32)


@pytest.fixture
def pair() -> tuple[np.ndarray, bytes]:
    noise = np.random.default_rng(3)
    original = noise.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return original, encode_jpeg(np.full((32, 32, 3), 200, np.uint8), 95, source="synthesized")


def test_the_ends_are_the_sources_themselves(pair: tuple[np.ndarray, bytes]) -> None:
    original, drawn = pair
    assert mix_images(original, drawn, 0.0, SETTINGS) == drawn
    assert mix_images(None, drawn, 0.0, SETTINGS) == drawn
    whole = encode_jpeg(original, SETTINGS.quality, source="original")
    assert mix_images(original, drawn, 1.0, SETTINGS) == whole
    assert mix_images(original, None, 1.0, SETTINGS) == whole


def test_a_share_that_no_pixel_shows_counts_as_an_end(pair: tuple[np.ndarray, bytes]) -> None:
    original, drawn = pair
    assert mix_images(original, drawn, INVISIBLE * 0.99, SETTINGS) == drawn
    assert mix_images(original, drawn, INVISIBLE * 4, SETTINGS) != drawn
    black, white = np.zeros((1, 1, 3)), np.full((1, 1, 3), 255.0)
    assert np.array_equal(np.rint(INVISIBLE * 0.99 * white + (1 - INVISIBLE * 0.99) * black), black)


def test_between_the_ends_the_pixels_lie_between(pair: tuple[np.ndarray, bytes]) -> None:
    _, drawn = pair
    dark = np.zeros((32, 32, 3), np.uint8)
    levels = [
        float(np.asarray(decode(mix_images(dark, drawn, share, SETTINGS), SETTINGS)).mean())
        for share in (0.1, 0.5, 0.9)
    ]
    assert levels == pytest.approx([180, 100, 20], abs=2)


def test_a_missing_source_is_an_error(pair: tuple[np.ndarray, bytes]) -> None:
    original, drawn = pair
    for first, second, share in ((original, None, 0.5), (None, drawn, 0.5), (None, drawn, 1.0), (original, None, 0.0)):
        with pytest.raises(ValueError, match="needs both images"):
            mix_images(first, second, share, SETTINGS)
