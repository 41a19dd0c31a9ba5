"""Conversion to uint8 and detection of unusable images."""

import numpy as np
import pytest
import torch

from amia.synthesis.defects import detect_defect, to_pixels


def test_uint8_round_trip():
    pixels = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    image = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    assert detect_defect(image) is None
    assert np.array_equal(to_pixels(image, 8), pixels)


@pytest.mark.promise(22)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_detects_single_nan_or_inf(bad):
    image = torch.rand(3, 4, 4)
    image[2, 3, 1] = bad
    assert detect_defect(image) == "nan"


def test_detects_black_and_blank():
    image = torch.zeros(3, 16, 16)
    image[:, 3, 4] = 0.4
    assert detect_defect(image) is None
    assert detect_defect(torch.zeros(3, 16, 16)) == "black"
    assert detect_defect(torch.ones(3, 16, 16)) == "blank"
