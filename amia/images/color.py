"""Conversion of any image mode to RGB."""

import numpy as np
from PIL import Image

from amia.errors import ImageError

__all__ = ["to_rgb"]

_BAND_ROWS = 256
"""Rows that are converted at once."""
_TO_8_BITS = np.rint(np.arange(65_536) / 257.0).astype(np.uint8)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a loaded image of any mode to RGB, 8 bits per channel.

    16-bit gray is scaled to 8 bits. 32-bit integers and floats, which have no defined white, are stretched from their
    smallest to their largest value. Transparent parts become white. CMYK is converted without its color profile
    (Pillow has undone Adobe's inversion already). Raises ImageError (`corrupt`) for floats that are not finite.
    """
    if image.mode.startswith("I;16"):
        # convert("L") would clip every gray above 255 to white.
        return Image.fromarray(_TO_8_BITS[np.asarray(image)]).convert("RGB")
    if image.mode in ("I", "F"):
        return _stretch(np.asarray(image))
    if image.has_transparency_data:
        return _blend_with_white(image)
    return image.convert("RGB")


def _blend_with_white(image: Image.Image) -> Image.Image:
    # In bands, since each of the four steps keeps four bytes per pixel in memory.
    blended = Image.new("RGB", image.size)
    for top in range(0, image.height, _BAND_ROWS):
        band = image.crop((0, top, image.width, min(image.height, top + _BAND_ROWS))).convert("RGBA")
        blended.paste(Image.alpha_composite(Image.new("RGBA", band.size, "white"), band).convert("RGB"), (0, top))
    return blended


def _stretch(values: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> Image.Image:
    # In bands, since float64 takes eight bytes per pixel several times over.
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ImageError("corrupt", "pixels that are not finite numbers")
    gray = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), _BAND_ROWS):
        band = values[top : top + _BAND_ROWS].astype(np.float64)
        scaled = (band - low) * (255.0 / (high - low)) if high > low else np.clip(band, 0, 255)
        gray[top : top + _BAND_ROWS] = np.rint(scaled)
    return Image.fromarray(gray).convert("RGB")
