"""The one geometry of every arm: any image becomes `size` by `size` pixels."""

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

    Pillow resizes on the CPU. On a GPU torch resizes squares, which stay there and differ from those of Pillow by at
    most one gray level. Pillow resizes all other shapes, since the order of its two passes differs between versions.
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

    planes = pixels.movedim(-1, 1).float()  # [n, 3, h, w]
    # Rows first, then columns, each rounded and clipped to gray levels as in Pillow. In one step, values that overshoot
    # at sharp edges would not be clipped in between, and the result would differ by several levels.
    for shape in ((planes.shape[2], size), (size, size)):
        planes = torch.nn.functional.interpolate(planes, shape, mode="bicubic", antialias=True).round().clamp(0, 255)
    return planes.to(torch.uint8).movedim(1, -1)
