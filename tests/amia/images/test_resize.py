"""Resizing to squares with Pillow, and the same resizing with torch, as on a GPU."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from amia.images import ImageSettings, resize_to_square
from amia.images.resize import _resize_with_torch, resize_bicubic
from tests.helpers.sample_images import BLUE, RED


def resize_with_pillow(pixels: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))


def difference_to_pillow(pixels: np.ndarray, size: int) -> int:
    """Return the largest difference in gray levels between torch and Pillow."""
    resized = _resize_with_torch(torch.from_numpy(pixels)[None], size)[0].numpy()
    assert resized.dtype == np.uint8
    return int(np.abs(resized.astype(int) - resize_with_pillow(pixels, size)).max())


def test_cover_keeps_the_center() -> None:
    wide = Image.new("RGB", (300, 100), RED)
    wide.paste(BLUE, (100, 0, 200, 100))
    tall = wide.transpose(Image.Transpose.ROTATE_90)
    settings = ImageSettings(size=50)
    for image in (wide, tall):
        inner = resize_to_square(image, settings)[2:-2, 2:-2]
        assert (np.abs(inner.astype(int) - BLUE) <= 2).all()
        assert (resize_to_square(image, ImageSettings(size=50, fit="stretch"))[25, 2] == RED).all() or image is tall


def test_pad_adds_black_bars() -> None:
    pixels = resize_to_square(Image.new("RGB", (200, 100), RED), ImageSettings(size=100, fit="pad"))
    assert (pixels[:25] == 0).all()
    assert (pixels[75:] == 0).all()
    assert (pixels[25:75] == RED).all()


@pytest.mark.parametrize("fit", ["cover", "stretch", "pad"])
def test_image_of_the_right_size_is_unchanged(fit: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize_to_square(Image.fromarray(pixels), ImageSettings(size=32, fit=fit)), pixels)


def test_downscaling_is_antialiased() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = resize_to_square(Image.fromarray(stripes), ImageSettings(size=32))
    assert np.abs(pixels.astype(int) - 128).max() < 20


@pytest.mark.promise(29)
@given(
    st.integers(1, 40).flatmap(lambda side: arrays.arrays(np.uint8, (side, side, 3))),
    st.integers(1, 60),
)
def test_torch_equals_pillow(pixels: np.ndarray, size: int) -> None:
    assert difference_to_pillow(pixels, size) == 0


@pytest.mark.promise(29)
@pytest.mark.parametrize(("old", "new"), [(512, 224), (512, 256), (256, 512), (64, 63)])
def test_torch_equals_pillow_at_sharp_edges(old: int, new: int) -> None:
    """Black next to white everywhere: values overshoot the gray levels most, on both sides."""
    pixels = (np.random.default_rng(old).integers(0, 2, (old, old, 3)) * 255).astype(np.uint8)
    assert difference_to_pillow(pixels, new) == 0


def test_cpu_results_equal_pillow() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), dtype=np.uint8)
    resized = resize_bicubic(torch.from_numpy(pixels), 9)
    assert resized.dtype is torch.uint8
    assert all(np.array_equal(one, resize_with_pillow(image, 9)) for one, image in zip(resized, pixels, strict=True))


def test_images_of_a_batch_are_independent() -> None:
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), dtype=np.uint8))
    for resize in (resize_bicubic, _resize_with_torch):
        alone = torch.cat([resize(image[None], 9) for image in pixels])
        assert torch.equal(resize(pixels, 9), alone)


@pytest.mark.parametrize(("height", "width"), [(10, 30), (30, 10), (90, 20)])
def test_rectangle_becomes_a_square(height: int, width: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    assert np.array_equal(resize_bicubic(torch.from_numpy(pixels), 16)[0], resize_with_pillow(pixels[0], 16))


def test_bicubic_returns_the_right_size_unchanged() -> None:
    pixels = torch.zeros(2, 8, 8, 3, dtype=torch.uint8)
    assert resize_bicubic(pixels, 8) is pixels
