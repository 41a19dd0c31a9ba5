"""Images that amia encoded, decoded again: Pillow's pixels to the bit, and nothing else gets through."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from amia.errors import ImageError
from amia.images import ImageSettings, decode, decode_generated, encode_jpeg


def picture(size: int, seed: int) -> np.ndarray:
    """Smooth colors with some noise, so that every coefficient of a block is in use."""
    noise = np.random.default_rng(seed)
    small = Image.fromarray(noise.integers(0, 256, (5, 5, 3), np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(small) + noise.normal(0, 9, (size, size, 3)), 0, 255).astype(np.uint8)


def saved(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(32, 0)).save(file, kind, **options)
    return file.getvalue()


@given(
    size=st.integers(16, 130),
    quality=st.integers(1, 100),
    seed=st.integers(0, 99),
    source=st.sampled_from(["original", "synthesized", "blend"]),
)
def test_the_pixels_that_pillow_gives(size, quality, seed, source):
    data = encode_jpeg(picture(size, seed), quality, source=source)
    assert np.array_equal(decode_generated(data, size), np.asarray(decode(data, ImageSettings(size=size))))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8\xff",
        b"no image at all",
        saved("PNG"),
        encode_jpeg(picture(40, 0), 95, source="synthesized"),
        encode_jpeg(picture(32, 0), 95, source="synthesized")[:-600],
        encode_jpeg(picture(32, 0), 95, source="synthesized")[:200],
    ],
    ids=["empty", "begun", "text", "png", "another size", "cut off", "cut off in its header"],
)
def test_anything_else_is_corrupt(data):
    with pytest.raises(ImageError) as raised:
        decode_generated(data, 32)
    assert raised.value.reason == "corrupt"


def test_gray_is_none_of_ours():
    file = io.BytesIO()
    Image.fromarray(picture(32, 0)).convert("L").save(file, "JPEG")
    with pytest.raises(ImageError, match="not a color image of 32 x 32"):
        decode_generated(file.getvalue(), 32)
