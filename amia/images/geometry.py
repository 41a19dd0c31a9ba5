"""The one geometry of every arm: any image becomes `size` by `size` pixels."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from amia.images.settings import ImageSettings

__all__ = ["fit_to"]


def fit_to(image: Image.Image, settings: ImageSettings) -> npt.NDArray[np.uint8]:
    """Pixels uint8 [size, size, 3] of an RGB image, bicubic with antialiasing, by `settings.fit`.

    An image that is `size` by `size` already comes out as it is, bit by bit.
    """
    size = settings.size
    if image.size == (size, size):
        return np.array(image)
    width, height = image.size
    if settings.fit == "pad":
        scale = size / max(width, height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        square = Image.new("RGB", (size, size))
        square.paste(image.resize(inner, Image.Resampling.BICUBIC), ((size - inner[0]) // 2, (size - inner[1]) // 2))
        return np.array(square)
    box = (0.0, 0.0, float(width), float(height))
    if settings.fit == "cover":
        # Crop and resize in one step: resizing a 20,000 x 1 image first would make one of ten million pixels a row.
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    return np.array(image.resize((size, size), Image.Resampling.BICUBIC, box=box))
