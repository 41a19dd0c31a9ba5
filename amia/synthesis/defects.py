"""What came out of the generator: fit to use, or why not. On the device that drew it, until there are gray levels."""

from typing import Literal

import torch

from amia.images.resize import resize_bicubic

__all__ = ["Defect", "detect_defect", "pixel_extremes", "to_pixels"]

Defect = Literal["nan", "black", "blank"]

_BLACK = 3 / 255
"""An image that is nowhere lighter is black: what half precision leaves when it overflows."""
_BLANK = 2 / 255
"""An image whose values span no more than this shows nothing."""


def pixel_extremes(pictures: torch.Tensor) -> torch.Tensor:
    """The darkest and the lightest value `[b, 2]` of images `[b, 3, h, w]`: all that `detect_defect` wants of them."""
    return torch.stack(pictures.flatten(1).aminmax(dim=1), dim=1)  # NaN anywhere makes both NaN


def detect_defect(picture: torch.Tensor) -> Defect | None:
    """Why an image `[3, h, w]`, values in [0, 1], is of no use: `nan`, `black` or `blank`; None when it is.

    Its two extremes say the same as the whole.
    """
    low, high = picture.min(), picture.max()  # NaN anywhere makes both NaN
    if not (torch.isfinite(low) and torch.isfinite(high)):
        return "nan"
    if high <= _BLACK:
        return "black"
    return "blank" if high - low <= _BLANK else None


def to_pixels(pictures: torch.Tensor, size: int) -> torch.Tensor:
    """Gray levels uint8 `[b, size, size, 3]` of images `[b, 3, h, w]`, float32 in [0, 1]; or of one, without `b`.

    Resized (bicubic, antialiased) where the model's own size is another.
    """
    levels = (pictures.movedim(-3, -1) * 255).round().clamp(0, 255).to(torch.uint8)  # [b, h, w, 3]
    whole = resize_bicubic(levels.reshape(-1, *levels.shape[-3:]), size).contiguous()
    return whole.reshape(*levels.shape[:-3], *whole.shape[1:])
