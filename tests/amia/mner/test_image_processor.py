"""Pixels against Pillow's own resizing and arithmetic in double precision; what a preprocessor's file may say."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amia.errors import ImageError, ModelError
from amia.mner.image_processor import pixel_settings, read_pixels

SETTINGS = {"side": 32, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def expected(image: Image.Image) -> np.ndarray:
    shrunk = np.asarray(image.convert("RGB").resize((32, 32), Image.Resampling.BICUBIC), np.float64)
    channels = [
        (shrunk[:, :, each] / 255 - SETTINGS["mean"][each]) / SETTINGS["std"][each]  # type: ignore[index]  # three numbers each
        for each in range(3)
    ]
    return np.stack(channels)


@pytest.mark.parametrize("size", [(90, 47), (20, 51), (32, 32)])
def test_the_whole_image_at_the_encoders_size(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image = Image.fromarray(noise)
    pixels = read_pixels(saved(image), SETTINGS)
    assert (pixels.dtype, pixels.shape) == (np.float32, (3, 32, 32))
    assert pixels.flags.c_contiguous
    assert np.abs(pixels - expected(image)).max() < 1e-5


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_whatever_its_colors_are_stored_as(mode: str) -> None:
    image = Image.linear_gradient("L").convert("RGB").resize((60, 80)).convert(mode)
    pixels = read_pixels(saved(image, "TIFF"), SETTINGS)
    assert np.abs(pixels - expected(image)).max() < 1e-5


def test_a_large_photograph_decoded_at_less_is_nearly_the_same() -> None:
    image = Image.merge("RGB", [Image.linear_gradient("L").rotate(90 * turn) for turn in range(3)]).resize((900, 700))
    pixels = read_pixels(saved(image, "JPEG", quality=95), SETTINGS)
    assert np.abs(pixels - expected(image)).max() < 0.1, "of a range of four"


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "empty"), (b"no image", "not_an_image"), (b"\x89PNG\r\n\x1a\n....", "corrupt")]
)
def test_what_is_no_image(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        read_pixels(data, SETTINGS)
    assert caught.value.reason == reason


def said(folder: Path, **more: Any) -> Path:
    plain = {"size": 224, "image_mean": SETTINGS["mean"], "image_std": SETTINGS["std"]} | more
    text = json.dumps({name: value for name, value in plain.items() if value is not ...})
    (folder / "preprocessor_config.json").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("size", "side"),
    [(224, 224), ({"shortest_edge": 256}, 256), ({"height": 64, "width": 64}, 64), ({"shortest_edge": 224.0}, 224)],
)
def test_a_size_said_in_any_of_the_usual_ways(tmp_path: Path, size: object, side: int) -> None:
    found = pixel_settings(said(tmp_path, size=size, crop_pct=0.875, do_resize=True))
    assert found == {"side": side, "mean": SETTINGS["mean"], "std": SETTINGS["std"]}
    assert type(found["side"]) is int


@pytest.mark.parametrize(
    "odd",
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
def test_what_says_too_little_or_nonsense(tmp_path: Path, odd: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"preprocessor_config\.json does not say size, image_mean and image_std"):
        pixel_settings(said(tmp_path, **odd))


@pytest.mark.parametrize("text", [None, "", "[1, 2]", '{"size"'])
def test_a_file_that_is_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(ModelError, match="visual encoder"):
        pixel_settings(tmp_path)
