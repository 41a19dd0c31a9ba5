"""Test preprocessing against Pillow and arithmetic in double precision, and the parsing of preprocessor files."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amia.errors import ImageError, ModelError
from amia.mner.image_processor import load_pixel_settings, preprocess_image

SETTINGS = {"side": 32, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def encode(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def expected_pixels(image: Image.Image) -> np.ndarray:
    resized = np.asarray(image.convert("RGB").resize((32, 32), Image.Resampling.BICUBIC), np.float64)
    normalized = (resized / 255 - np.array(SETTINGS["mean"])) / np.array(SETTINGS["std"])
    return normalized.transpose(2, 0, 1)


@pytest.mark.parametrize("size", [(90, 47), (20, 51), (32, 32)])
def test_resizes_the_whole_image(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image = Image.fromarray(noise)
    pixels = preprocess_image(encode(image), SETTINGS)
    assert (pixels.dtype, pixels.shape) == (np.float32, (3, 32, 32))
    assert pixels.flags.c_contiguous
    assert np.abs(pixels - expected_pixels(image)).max() < 1e-5


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_converts_color_modes(mode: str) -> None:
    image = Image.linear_gradient("L").convert("RGB").resize((60, 80)).convert(mode)
    pixels = preprocess_image(encode(image, "TIFF"), SETTINGS)
    assert np.abs(pixels - expected_pixels(image)).max() < 1e-5


def test_reduced_decoding_of_large_jpegs_is_accurate() -> None:
    image = Image.merge("RGB", [Image.linear_gradient("L").rotate(90 * turn) for turn in range(3)]).resize((900, 700))
    pixels = preprocess_image(encode(image, "JPEG", quality=95), SETTINGS)
    assert np.abs(pixels - expected_pixels(image)).max() < 0.1, "of a range of four"


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "empty"), (b"no image", "not_an_image"), (b"\x89PNG\r\n\x1a\n....", "corrupt")]
)
def test_rejects_invalid_images(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        preprocess_image(data, SETTINGS)
    assert caught.value.reason == reason


def write_preprocessor(folder: Path, **entries: Any) -> Path:
    """Write a `preprocessor_config.json`; an entry with the value `...` is left out."""
    all_entries = {"size": 224, "image_mean": SETTINGS["mean"], "image_std": SETTINGS["std"]} | entries
    text = json.dumps({name: value for name, value in all_entries.items() if value is not ...})
    (folder / "preprocessor_config.json").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("size", "side"),
    [(224, 224), ({"shortest_edge": 256}, 256), ({"height": 64, "width": 64}, 64), ({"shortest_edge": 224.0}, 224)],
)
def test_reads_all_formats_of_size(tmp_path: Path, size: object, side: int) -> None:
    settings = load_pixel_settings(write_preprocessor(tmp_path, size=size, crop_pct=0.875, do_resize=True))
    assert settings == {"side": side, "mean": SETTINGS["mean"], "std": SETTINGS["std"]}
    assert type(settings["side"]) is int


@pytest.mark.parametrize(
    "entries",
    [
        {"size": ...},
        {"size": None},
        {"size": [224, 224]},
        {"size": "large"},
        {"size": {"width": 224}},
        {"size": {"longest_edge": 224}},
        {"size": 0},
        {"size": 10**9},
        {"image_mean": ...},
        {"image_mean": None},
        {"image_std": ["x", "y", "z"]},
    ],
    ids=str,
)
def test_rejects_missing_or_invalid_entries(tmp_path: Path, entries: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"preprocessor_config\.json has no valid size, image_mean and image_std"):
        load_pixel_settings(write_preprocessor(tmp_path, **entries))


@pytest.mark.parametrize("text", [None, "", "[1, 2]", '{"size"'])
def test_rejects_missing_or_invalid_file(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(ModelError, match="visual encoder"):
        load_pixel_settings(tmp_path)
