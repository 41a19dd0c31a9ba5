"""What came out of the generator: fit to use, or why not."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Flaw", "flaw_of", "to_pixels"]

Flaw = Literal["nan", "black", "blank"]

_BLACK = 3 / 255
"""A picture that is nowhere lighter is black: what half precision leaves when it overflows."""
_BLANK = 2 / 255
"""A picture whose values span no more than this shows nothing."""


def flaw_of(picture: torch.Tensor) -> Flaw | None:
    """Why a picture `[3, h, w]`, values in [0, 1], is of no use: `nan`, `black` or `blank`; None when it is."""
    low, high = picture.min(), picture.max()  # NaN anywhere makes both NaN
    if not (torch.isfinite(low) and torch.isfinite(high)):
        return "nan"
    if high <= _BLACK:
        return "black"
    return "blank" if high - low <= _BLANK else None


def to_pixels(picture: torch.Tensor, size: int) -> NDArray[np.uint8]:
    """Grey levels `[size, size, 3]` of a picture `[3, h, w]`, values in [0, 1], on the CPU.

    Resized (bicubic, antialiased) where the model's own size is another.
    """
    pixels = (picture.permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8).numpy()  # [h, w, 3]
    if pixels.shape[:2] == (size, size):
        return np.ascontiguousarray(pixels)
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))
