"""The one geometry of every arm: any image becomes `size` by `size` pixels."""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from amia.images.settings import ImageSettings

if TYPE_CHECKING:
    import torch

__all__ = ["resize_bicubic", "resize_to_square"]


def resize_to_square(image: Image.Image, settings: ImageSettings) -> npt.NDArray[np.uint8]:
    """Resize an RGB image to pixels uint8 [size, size, 3], bicubic with antialiasing, according to `settings.fit`.

    An image of `size` by `size` is returned unchanged, bit by bit.
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
        # Crop and resize in one step: resizing a 20,000 x 1 image first would give ten million pixels per row.
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    return np.array(image.resize((size, size), Image.Resampling.BICUBIC, box=box))


def resize_bicubic(pixels: "torch.Tensor", size: int) -> "torch.Tensor":
    """Resize pixels uint8 `[n, h, w, 3]` to `[n, size, size, 3]`, bicubic with antialiasing.

    Pillow resizes on the CPU. On a GPU torch resizes squares, which stay there, with the integer arithmetic of Pillow:
    the bytes are equal. Pillow resizes all other shapes, since the order of its two passes differs between versions.
    """
    import torch  # not at module level: reading settings and decoding images does not need it

    height, width = pixels.shape[1:3]
    if height == width == size:
        return pixels
    if pixels.is_cuda and height == width:
        return _resize_with_torch(pixels, size)
    images = (Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC) for image in pixels.cpu().numpy())
    return torch.from_numpy(np.stack([np.asarray(image) for image in images]))


def _resize_with_torch(pixels: "torch.Tensor", size: int) -> "torch.Tensor":
    import torch

    planes = pixels.movedim(-1, 1).double()  # [n, 3, h, w]
    weights = torch.from_numpy(_pillow_weights(pixels.shape[1], size)).to(planes.device)  # [size, h]
    for _ in range(2):  # rows first, then columns: integers below 2 ** 53, so sums are exact in any order
        sums = planes @ weights.T + _ONE // 2
        planes = (sums / _ONE).floor().clamp(0, 255).transpose(2, 3)
    return planes.to(torch.uint8).movedim(1, -1)


_ONE = 1 << 22
"""Pillow's weights for images of 8 bits are integers that sum up to about this."""


@lru_cache(maxsize=8)
def _pillow_weights(old: int, new: int) -> npt.NDArray[np.float64]:
    """Return the weights `[new, old]` of Pillow's bicubic filter with antialiasing, which are integers."""
    scale = old / new
    width = max(1.0, scale)  # of one pixel of the filter, whose support is two on each side
    centers = (np.arange(new) + 0.5) * scale
    first = np.maximum(0, (centers - 2 * width + 0.5).astype(np.int64))
    end = np.minimum(old, (centers + 2 * width + 0.5).astype(np.int64))
    columns = np.arange(old)
    distances = np.abs((columns - centers[:, None] + 0.5) * (1 / width))
    near = ((1.5 * distances - 2.5) * distances) * distances + 1
    far = (((distances - 5) * distances + 8) * distances - 4) * -0.5
    weights: npt.NDArray[np.float64] = np.where(distances < 1, near, np.where(distances < 2, far, 0.0))
    weights[(columns < first[:, None]) | (columns >= end[:, None])] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    rounded: npt.NDArray[np.float64] = np.trunc(weights * _ONE + np.where(weights < 0, -0.5, 0.5))
    return rounded
