"""Image preprocessing: an encoded image to the normalized pixels that a visual encoder reads."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from amia.errors import ModelError
from amia.images import ImageSettings, decode, resize_to_square

__all__ = ["load_pixel_settings", "preprocess_image", "validate_pixel_settings"]


def load_pixel_settings(folder: Path) -> dict[str, Any]:
    """Read `side` in pixels, `mean` and `std` from the `preprocessor_config.json` in the folder of a visual encoder.

    Raises ModelError if the file is missing or lacks one of them.
    """
    path = folder / "preprocessor_config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        size = content["size"]
        side = size if isinstance(size, int) else size.get("shortest_edge") or size["height"]
        return _check_settings(side, content["image_mean"], content["image_std"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"visual encoder: {path} has no valid size, image_mean and image_std: {error!r}") from error


def validate_pixel_settings(settings: dict[str, Any] | None) -> dict[str, Any]:
    """Check `side`, `mean` and `std` of a saved recognizer's configuration. Raises ModelError if they are invalid."""
    try:
        return _check_settings(**(settings or {}))
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"the recognizer's config.json has no valid side, mean and std in `pixels`: {error}"
        ) from error


def preprocess_image(data: bytes, settings: dict[str, Any]) -> npt.NDArray[np.float32]:
    """Decode an image to normalized pixels float32 [3, side, side]; the whole image is resized to the square.

    Public code takes a random 224 x 224 crop, once, of test images too. Raises ImageError.
    """
    side = settings["side"]
    image_settings = ImageSettings(size=side, fit="stretch")
    image = decode(data, image_settings, at_least=2 * side)
    pixels = resize_to_square(image, image_settings).astype(np.float32) / 255
    normalized = (pixels - np.asarray(settings["mean"], np.float32)) / np.asarray(settings["std"], np.float32)
    return np.ascontiguousarray(normalized.transpose(2, 0, 1))


def _check_settings(side: int, mean: list[float], std: list[float]) -> dict[str, Any]:
    means, stds = np.asarray(mean, np.float32), np.asarray(std, np.float32)
    if means.shape != (3,) or stds.shape != (3,) or not np.isfinite(means).all() or not (stds > 0).all():
        raise ValueError(f"mean {mean} and std {std} must have three finite numbers each, and std must be positive")
    return {"side": ImageSettings(size=side).size, "mean": [float(x) for x in mean], "std": [float(x) for x in std]}
