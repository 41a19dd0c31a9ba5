"""Any image becomes a square of one size, in three ways."""

import numpy as np
import pytest
from PIL import Image

from amia.images import ImageSettings, resize_to_square
from tests.helpers.drawings import BLUE, RED


def test_cover_keeps_the_middle() -> None:
    wide = Image.new("RGB", (300, 100), RED)
    wide.paste(BLUE, (100, 0, 200, 100))
    tall = wide.transpose(Image.Transpose.ROTATE_90)
    settings = ImageSettings(size=50)
    for image in (wide, tall):
        inner = resize_to_square(image, settings)[2:-2, 2:-2]
        assert (np.abs(inner.astype(int) - BLUE) <= 2).all()
        assert (resize_to_square(image, ImageSettings(size=50, fit="stretch"))[25, 2] == RED).all() or image is tall


def test_pad_shows_the_whole_image_between_black_bars() -> None:
    found = resize_to_square(Image.new("RGB", (200, 100), RED), ImageSettings(size=100, fit="pad"))
    assert (found[:25] == 0).all()
    assert (found[75:] == 0).all()
    assert (found[25:75] == RED).all()


@pytest.mark.parametrize("fit", ["cover", "stretch", "pad"])
def test_an_image_of_the_right_size_is_left_as_it_is(fit: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize_to_square(Image.fromarray(pixels), ImageSettings(size=32, fit=fit)), pixels)


def test_shrinking_is_antialiased() -> None:
    fine = np.zeros((256, 256, 3), np.uint8)
    fine[:, ::2] = 255
    found = resize_to_square(Image.fromarray(fine), ImageSettings(size=32))
    assert np.abs(found.astype(int) - 128).max() < 20
