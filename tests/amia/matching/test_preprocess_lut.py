"""The normalization table: bit-identical to the image processor in any configuration."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers import CLIPImageProcessorPil

from amia.matching.preprocess import apply_lut, normalization_lut

SMALL = {"size": {"shortest_edge": 24}, "crop_size": {"height": 24, "width": 24}}
SETTINGS: list[dict[str, Any]] = [
    {},
    {"do_normalize": False},
    {"do_rescale": False},
    {"do_rescale": False, "do_normalize": False},
    {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.1, 0.2, 0.3], "rescale_factor": 1 / 127.5},
    {"do_resize": False, "crop_size": {"height": 40, "width": 40}},
]


@pytest.mark.parametrize("settings", SETTINGS)
@given(width=st.integers(8, 70), height=st.integers(8, 70), seed=st.integers(0, 99))
def test_equals_processor(settings: dict[str, Any], width: int, height: int, seed: int) -> None:
    processor = CLIPImageProcessorPil(**{**SMALL, **settings})
    image = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))
    expected = processor([image], return_tensors="pt")["pixel_values"]
    pixels = processor([image], do_rescale=False, do_normalize=False, return_tensors="pt")["pixel_values"]
    assert pixels.dtype == torch.uint8
    normalized = apply_lut(pixels, torch.from_numpy(normalization_lut(processor)))
    assert normalized.dtype == torch.float32
    assert torch.equal(normalized, expected.float())
