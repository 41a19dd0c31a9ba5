import numpy as np
import pytest
import torch

from amia.synthesis.defects import detect_defect, to_pixels


def test_gray_levels_survive_exactly():
    pixels = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    picture = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    assert detect_defect(picture) is None
    assert np.array_equal(to_pixels(picture, 8), pixels)


@pytest.mark.promise(22)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_one_number_that_is_none_spoils_the_picture(bad):
    picture = torch.rand(3, 4, 4)
    picture[2, 3, 1] = bad
    assert detect_defect(picture) == "nan"


def test_a_night_with_one_star_is_a_picture():
    picture = torch.zeros(3, 16, 16)
    picture[:, 3, 4] = 0.4
    assert detect_defect(picture) is None
    assert detect_defect(torch.zeros(3, 16, 16)) == "black"
    assert detect_defect(torch.ones(3, 16, 16)) == "blank"
