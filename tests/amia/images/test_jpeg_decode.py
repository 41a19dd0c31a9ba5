"""Decoding of JPEGs that amia encoded: equal to Pillow, and rejection of all other files."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from amia.errors import ImageError
from amia.images import ImageSettings, decode, decode_generated, encode_jpeg


def make_pixels(size: int, seed: int) -> np.ndarray:
    """Return smooth colors with noise, which use every coefficient of a block."""
    noise = np.random.default_rng(seed)
    small = Image.fromarray(noise.integers(0, 256, (5, 5, 3), np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(small) + noise.normal(0, 9, (size, size, 3)), 0, 255).astype(np.uint8)


def save_as(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(make_pixels(32, 0)).save(file, kind, **options)
    return file.getvalue()


@given(
    size=st.integers(16, 130),
    quality=st.integers(1, 100),
    seed=st.integers(0, 99),
    source=st.sampled_from(["original", "synthesized", "blend"]),
)
def test_pixels_equal_pillow(size, quality, seed, source):
    data = encode_jpeg(make_pixels(size, seed), quality, source=source)
    assert np.array_equal(decode_generated(data, size), np.asarray(decode(data, ImageSettings(size=size))))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8\xff",
        b"no image at all",
        save_as("PNG"),
        encode_jpeg(make_pixels(40, 0), 95, source="synthesized"),
        encode_jpeg(make_pixels(32, 0), 95, source="synthesized")[:-600],
        encode_jpeg(make_pixels(32, 0), 95, source="synthesized")[:200],
    ],
    ids=["empty", "signature only", "text", "png", "another size", "truncated", "truncated header"],
)
def test_rejects_other_files(data):
    with pytest.raises(ImageError) as raised:
        decode_generated(data, 32)
    assert raised.value.reason == "corrupt"


def test_rejects_gray():
    file = io.BytesIO()
    Image.fromarray(make_pixels(32, 0)).convert("L").save(file, "JPEG")
    with pytest.raises(ImageError, match="not a color image of 32 x 32"):
        decode_generated(file.getvalue(), 32)
