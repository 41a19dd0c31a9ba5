"""Resizing and cropping: bit-identical to the image processor in any configuration."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers import CLIPImageProcessorPil

from amia.matching.preprocess import resize_and_crop

CROP = {"height": 20, "width": 20}
CONFIGS: list[dict[str, Any]] = [
    {"size": {"shortest_edge": 24}, "crop_size": CROP},
    {"size": {"shortest_edge": 20}, "crop_size": CROP, "resample": 2},
    {"size": {"shortest_edge": 16}, "crop_size": CROP},  # the crop is larger than the image
    {"size": {"height": 24, "width": 30}, "crop_size": CROP},
    {"size": {"shortest_edge": 24, "longest_edge": 40}, "crop_size": CROP},
    {"size": {"shortest_edge": 24}, "crop_size": CROP, "do_resize": False},
]


@pytest.mark.parametrize("config", CONFIGS)
@given(
    sizes=st.lists(st.tuples(st.integers(4, 90), st.integers(4, 90)), min_size=1, max_size=3), seed=st.integers(0, 9)
)
def test_equals_processor(config: dict[str, Any], sizes: list[tuple[int, int]], seed: int) -> None:
    processor, rng = CLIPImageProcessorPil(**config), np.random.default_rng(seed)
    images = [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]
    expected = processor(images, do_rescale=False, do_normalize=False, return_tensors="np")["pixel_values"]
    pixels = resize_and_crop(processor, images)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, expected)
