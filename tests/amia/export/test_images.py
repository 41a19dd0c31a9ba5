"""Exported images: unchanged if size and quality match, otherwise resized, with a quality of at least 95."""

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


def open_image(data: bytes | None) -> Image.Image:
    assert data is not None
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("quality", [95, 98])
def test_keeps_bytes_of_same_size_and_quality(quality: int) -> None:
    exporter = ImageExporter(stored=ImageSettings(size=64, quality=quality), size=64)
    post = row(64, quality)
    assert exporter.unchanged
    assert exporter.convert(post) is post["image"]["bytes"]
    assert exporter.convert({"image": None, "ratio": None}) is None


@pytest.mark.parametrize(("stored", "quality", "size"), [(64, 95, 256), (512, 95, 256), (64, 85, 64), (64, 99, 32)])
def test_resizes_and_encodes(stored: int, quality: int, size: int) -> None:
    exporter = ImageExporter(stored=ImageSettings(size=stored, quality=quality), size=size)
    post = row(stored, quality)
    data = exporter.convert(post)
    image = open_image(data)
    assert (image.size, image.mode, image.format) == ((size, size), "RGB", "JPEG")
    pixels = resize_to_square(decode(post["image"]["bytes"], ImageSettings()), ImageSettings(size=size))
    expected = encode_jpeg(pixels, max(95, quality), source="blend")
    assert data == expected == exporter.convert(post)
    assert image.quantization == open_image(expected).quantization  # type: ignore[attr-defined]  # attribute of JPEG images


@pytest.mark.parametrize(
    ("ratio", "source", "marker"),
    [
        (0.0, "synthesized", b"/trainedAlgorithmicMedia"),
        (0.5, "blend", b"/compositeWithTrainedAlgorithmicMedia"),
        (1.0, "original", None),
    ],
)
def test_keeps_synthetic_media_marker(ratio: float, source: Source, marker: bytes | None) -> None:
    data = ImageExporter(stored=ImageSettings(size=64), size=224).convert(row(64, 95, ratio, source))
    assert data is not None
    assert (b"AlgorithmicMedia" in data) == (marker is not None)
    assert marker is None or marker in data


@pytest.mark.parametrize("size", [224, 300])
def test_placeholders_are_gray(size: int) -> None:
    files = placeholders(size)
    assert tuple(files) == PLACEHOLDERS
    for data in files.values():
        image = open_image(data).convert("RGB")
        assert image.size == (size, size)
        assert image.getcolors() == [(size * size, (128, 128, 128))]
    assert files == placeholders(size)
