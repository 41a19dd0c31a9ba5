"""Detect unusable images and convert usable ones to uint8, on the device that generated them."""

from typing import Literal

import torch

from amia.images.resize import resize_bicubic

__all__ = ["Defect", "detect_defect", "pixel_extremes", "to_pixels"]

Defect = Literal["nan", "black", "blank"]

_BLACK = 3 / 255
"""An image with no lighter value is black: the result of an overflow in half precision."""
_BLANK = 2 / 255
"""An image whose values span no more than this is blank."""


def pixel_extremes(images: torch.Tensor) -> torch.Tensor:
    """Return the smallest and the largest value `[b, 2]` of images `[b, 3, h, w]`, the input of `detect_defect`."""
    return torch.stack(images.flatten(1).aminmax(dim=1), dim=1)  # a NaN makes both NaN


def detect_defect(image: torch.Tensor) -> Defect | None:
    """Return the defect of an image `[3, h, w]` with values in [0, 1]: `nan`, `black`, `blank` or None.

    The image's two extreme values, as from `pixel_extremes`, give the same result.
    """
    low, high = image.min(), image.max()  # a NaN makes both NaN
    if not (torch.isfinite(low) and torch.isfinite(high)):
        return "nan"
    if high <= _BLACK:
        return "black"
    return "blank" if high - low <= _BLANK else None


def to_pixels(images: torch.Tensor, size: int) -> torch.Tensor:
    """Convert images `[b, 3, h, w]`, float32 in [0, 1], to uint8 `[b, size, size, 3]`; a single image has no `b`.

    Images of another size are resized (bicubic, antialiased).
    """
    pixels = (images.movedim(-3, -1) * 255).round().clamp(0, 255).to(torch.uint8)  # [b, h, w, 3]
    resized = resize_bicubic(pixels.reshape(-1, *pixels.shape[-3:]), size).contiguous()
    return resized.reshape(*pixels.shape[:-3], *resized.shape[1:])
