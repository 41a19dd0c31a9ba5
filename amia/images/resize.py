"""The one geometry of every arm: any image becomes `size` by `size` pixels."""

from functools import lru_cache
from math import ceil

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from amia.images.settings import ImageSettings

__all__ = ["resize_bicubic", "resize_to_square"]


# MERGED FROM amia.images.resize: Pillow's bicubic resizing, to the bit, on any device.
#
# Pillow reckons in integers: each weight is rounded to 22 bits once, each pass (rows first, then columns) is a sum of
# products, rounded and clipped to a gray level. Integers add up to the same on every device and in every order.
def resize_to_square(image: Image.Image, settings: ImageSettings) -> npt.NDArray[np.uint8]:
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


_BITS = 22
"""Of a weight's fraction: eight bits of gray level, and two for the sum of weights, leave so many of 32."""
_REACH = 2.0
"""Pixels to either side of the cubic's center, in units of the coarser grid."""


def resize_bicubic(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """Gray levels uint8 `[n, size, size, 3]` of `[n, h, w, 3]`, antialiased; on a GPU they stay there.

    Squares only: which pass comes first is not the same in every Pillow where one side shrinks more than the other.
    """
    _, height, width, _ = pixels.shape
    if height == width == size:
        return pixels
    if pixels.is_cuda and height == width:
        return in_integers(pixels, size)
    # The same levels as `in_integers`, several times faster on a CPU.
    images = (Image.fromarray(each).resize((size, size), Image.Resampling.BICUBIC) for each in pixels.cpu().numpy())
    return torch.from_numpy(np.stack([np.asarray(image) for image in images]))


def in_integers(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """What Pillow makes of squares, as operations of torch."""
    return _along(_along(pixels, 2, size), 1, size)


def _along(pixels: torch.Tensor, axis: int, size: int) -> torch.Tensor:
    """One pass along an axis."""
    if pixels.shape[axis] == size:
        return pixels
    places, weights = (each.to(pixels.device) for each in _taps(pixels.shape[axis], size))  # [taps, size]
    shape = [1] * pixels.dim()
    shape[axis] = size
    total = torch.full([], 1 << (_BITS - 1), dtype=torch.int32, device=pixels.device)  # half a level: it is rounded
    for place, weight in zip(places, weights, strict=True):
        total = total + pixels.index_select(axis, place).int() * weight.view(shape)
    return (total >> _BITS).clamp(0, 255).to(torch.uint8)


@lru_cache(maxsize=256)
def _taps(old: int, new: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each of `new` pixels the places of the old that it is made of, and their weights; int32 `[taps, new]`."""
    scale = old / new
    coarse = max(scale, 1.0)
    reach = _REACH * coarse
    taps = 2 * ceil(reach) + 1
    places, weights = np.zeros((taps, new), np.int64), np.zeros((taps, new), np.int32)
    for pixel in range(new):
        center = (pixel + 0.5) * scale
        first, last = max(0, int(center - reach + 0.5)), min(old, int(center + reach + 0.5))
        exact = [_cubic((place - center + 0.5) / coarse) for place in range(first, last)]
        whole = sum(exact)
        for tap, (place, weight) in enumerate(zip(range(first, last), exact, strict=True)):
            share = weight / whole * (1 << _BITS)
            places[tap, pixel], weights[tap, pixel] = place, int(share - 0.5 if share < 0 else share + 0.5)
    return torch.from_numpy(places), torch.from_numpy(weights)


def _cubic(at: float) -> float:
    """Keys' cubic convolution with a = -1/2."""
    at = abs(at)
    if at < 1:
        return (1.5 * at - 2.5) * at * at + 1
    return (((at - 5) * at + 8) * at - 4) * -0.5 if at < _REACH else 0.0
