"""An image file's bytes to what a visual encoder reads."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from amia.errors import ModelError
from amia.images import ImageSettings, decode, resize_to_square

__all__ = ["pixel_settings", "read_pixels", "saved_pixel_settings"]


def pixel_settings(folder: Path) -> dict[str, Any]:
    """`side` in pixels, `mean` and `std` of a visual encoder, from the `preprocessor_config.json` beside its weights.

    Raises ModelError where that lacks or does not say them.
    """
    path = folder / "preprocessor_config.json"
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        size = said["size"]
        side = size if isinstance(size, int) else size.get("shortest_edge") or size["height"]
        return _checked(side, said["image_mean"], said["image_std"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"visual encoder: {path} does not say size, image_mean and image_std: {error!r}") from error


def saved_pixel_settings(said: dict[str, Any] | None) -> dict[str, Any]:
    """The same of a recognizer's own configuration. Raises ModelError."""
    try:
        return _checked(**(said or {}))
    except (ValueError, TypeError) as error:
        raise ModelError(f"the recognizer does not say side, mean and std of its pixels: {error}") from error


def _checked(side: int, mean: list[float], std: list[float]) -> dict[str, Any]:
    means, stds = np.asarray(mean, np.float32), np.asarray(std, np.float32)
    if means.shape != (3,) or stds.shape != (3,) or not np.isfinite(means).all() or not (stds > 0).all():
        raise ValueError(f"mean {mean}, std {std}: three numbers each are wanted")
    return {"side": ImageSettings(size=side).size, "mean": [float(x) for x in mean], "std": [float(x) for x in std]}


def read_pixels(data: bytes, settings: dict[str, Any]) -> npt.NDArray[np.float32]:
    """Normalised pixels float32 [3, side, side]; the whole image, both sides brought to `side`.

    Public code crops a random 224 x 224 piece, once, in test images too. Raises ImageError.
    """
    side = settings["side"]
    image = ImageSettings(size=side, fit="stretch")
    pixels = resize_to_square(decode(data, image, at_least=2 * side), image).astype(np.float32) / 255
    normal = (pixels - np.asarray(settings["mean"], np.float32)) / np.asarray(settings["std"], np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1))
