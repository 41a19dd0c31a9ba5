"""Gray levels in an encoder's geometry: to the bit those of the image processor, whatever it is told to do."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers import CLIPImageProcessorPil

from amia.matching.preprocess import resize_and_crop

CROP = {"height": 20, "width": 20}
WAYS: list[dict[str, Any]] = [
    {"size": {"shortest_edge": 24}, "crop_size": CROP},
    {"size": {"shortest_edge": 20}, "crop_size": CROP, "resample": 2},
    {"size": {"shortest_edge": 16}, "crop_size": CROP},  # the crop is larger than the image
    {"size": {"height": 24, "width": 30}, "crop_size": CROP},
    {"size": {"shortest_edge": 24, "longest_edge": 40}, "crop_size": CROP},
    {"size": {"shortest_edge": 24}, "crop_size": CROP, "do_resize": False},
]


@pytest.mark.parametrize("way", WAYS)
@given(
    sizes=st.lists(st.tuples(st.integers(4, 90), st.integers(4, 90)), min_size=1, max_size=3), seed=st.integers(0, 9)
)
def test_as_the_processor_itself(way: dict[str, Any], sizes: list[tuple[int, int]], seed: int) -> None:
    processor, rng = CLIPImageProcessorPil(**way), np.random.default_rng(seed)
    images = [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]
    expected = processor(images, do_rescale=False, do_normalize=False, return_tensors="np")["pixel_values"]
    made = resize_and_crop(processor, images)
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made, expected)
