"""Resizing in integers against Pillow, to the bit: what a GPU does is what Pillow does on the CPU."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from amia.images.resize import in_integers, resize_bicubic


def by_pillow(pixels: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))


@pytest.mark.promise(29)
@given(
    st.integers(1, 40).flatmap(lambda side: arrays.arrays(np.uint8, (side, side, 3))),
    st.integers(1, 60),
)
def test_in_integers_as_pillow(pixels: np.ndarray, size: int) -> None:
    assert np.array_equal(in_integers(torch.from_numpy(pixels)[None], size)[0].numpy(), by_pillow(pixels, size))


@pytest.mark.parametrize(("old", "new"), [(512, 224), (512, 256), (256, 512), (64, 63)])
def test_the_hardest_edges_at_real_sizes(old: int, new: int) -> None:
    """Black beside white everywhere: sums reach furthest beyond a gray level on both sides."""
    pixels = (np.random.default_rng(old).integers(0, 2, (old, old, 3)) * 255).astype(np.uint8)
    assert np.array_equal(in_integers(torch.from_numpy(pixels)[None], new)[0].numpy(), by_pillow(pixels, new))


def test_pictures_of_a_batch_do_not_mix() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), dtype=np.uint8)
    for resize in (resize_bicubic, in_integers):
        together = resize(torch.from_numpy(pixels), 9)
        assert together.dtype is torch.uint8
        assert [np.array_equal(one, by_pillow(each, 9)) for one, each in zip(together, pixels, strict=True)] == [
            True
        ] * 3


def test_a_picture_that_is_no_square_becomes_one() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (1, 10, 30, 3), dtype=np.uint8)
    assert np.array_equal(resize_bicubic(torch.from_numpy(pixels), 16)[0], by_pillow(pixels[0], 16))


def test_the_size_it_has_already_changes_nothing() -> None:
    pixels = torch.zeros(2, 8, 8, 3, dtype=torch.uint8)
    assert resize_bicubic(pixels, 8) is pixels
