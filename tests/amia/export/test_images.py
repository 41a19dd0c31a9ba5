"""Exported images: the run's own bytes where they serve, else the one geometry and at least quality 95."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amia.export.images import PLACEHOLDERS, ImageExporter, placeholders
from amia.images import ImageSettings, Source, decode, encode_jpeg, resize_to_square


def row(size: int, quality: int, ratio: float = 0.5, source: Source = "blend") -> dict[str, Any]:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    pixels = np.array(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))
    return {"image": {"bytes": encode_jpeg(pixels, quality, source=source), "path": None}, "ratio": ratio}


def opened(data: bytes | None) -> Image.Image:
    assert data is not None
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("quality", [95, 98])
def test_bytes_are_the_run_s_where_size_and_quality_serve(quality: int) -> None:
    pictures = ImageExporter(stored=ImageSettings(size=64, quality=quality), size=64)
    post = row(64, quality)
    assert pictures.unchanged
    assert pictures.of(post) is post["image"]["bytes"]
    assert pictures.of({"image": None, "ratio": None}) is None


@pytest.mark.parametrize(("stored", "quality", "size"), [(64, 95, 256), (512, 95, 256), (64, 85, 64), (64, 99, 32)])
def test_else_they_are_encoded_again(stored: int, quality: int, size: int) -> None:
    pictures = ImageExporter(stored=ImageSettings(size=stored, quality=quality), size=size)
    post = row(stored, quality)
    data = pictures.of(post)
    image = opened(data)
    assert (image.size, image.mode, image.format) == ((size, size), "RGB", "JPEG")
    pixels = resize_to_square(decode(post["image"]["bytes"], ImageSettings()), ImageSettings(size=size))
    again = encode_jpeg(pixels, max(95, quality), source="blend")
    assert data == again == pictures.of(post)
    assert image.quantization == opened(again).quantization  # type: ignore[attr-defined]  # JPEG's own


@pytest.mark.parametrize(
    ("ratio", "source", "mark"),
    [
        (0.0, "synthesized", b"/trainedAlgorithmicMedia"),
        (0.5, "blend", b"/compositeWithTrainedAlgorithmicMedia"),
        (1.0, "original", None),
    ],
)
def test_the_mark_of_a_synthetic_image_survives(ratio: float, source: Source, mark: bytes | None) -> None:
    data = ImageExporter(stored=ImageSettings(size=64), size=224).of(row(64, 95, ratio, source))
    assert data is not None
    assert (b"AlgorithmicMedia" in data) == (mark is not None)
    assert mark is None or mark in data


@pytest.mark.parametrize("size", [224, 300])
def test_placeholders_are_gray_and_large_enough_to_crop(size: int) -> None:
    made = placeholders(size)
    assert tuple(made) == PLACEHOLDERS
    for data in made.values():
        image = opened(data).convert("RGB")
        assert image.size == (size, size)
        assert image.getcolors() == [(size * size, (128, 128, 128))]
    assert made == placeholders(size)
