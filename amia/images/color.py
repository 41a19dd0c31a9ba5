"""Any mode that an image may have, to RGB as a person would see it on a white page."""

import numpy as np
from PIL import Image

from amia.errors import ImageError

__all__ = ["to_rgb"]

_BAND = 256
"""Lines that are worked on at once."""
_TO_8_BITS = np.rint(np.arange(65_536) / 257.0).astype(np.uint8)


def to_rgb(image: Image.Image) -> Image.Image:
    """A loaded image of any mode as RGB, 8 bits a channel.

    16-bit gray is scaled to 8; 32-bit integers and floats, which have no agreed white, are stretched from their own
    darkest to their own brightest pixel. Transparent parts become white. CMYK is converted without its color profile
    (Pillow has undone Adobe's inversion already). Raises ImageError (`corrupt`) for floats that are not finite.
    """
    if image.mode.startswith("I;16"):
        # convert("L") would clip every gray above 255 to white.
        return Image.fromarray(_TO_8_BITS[np.asarray(image)]).convert("RGB")
    if image.mode in ("I", "F"):
        return _stretched(np.asarray(image))
    if image.has_transparency_data:
        return _on_white(image)
    return image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """Band by band: each step of this keeps four bytes a pixel, and there would be four of them at once."""
    seen = Image.new("RGB", image.size)
    for top in range(0, image.height, _BAND):
        band = image.crop((0, top, image.width, min(image.height, top + _BAND))).convert("RGBA")
        seen.paste(Image.alpha_composite(Image.new("RGBA", band.size, "white"), band).convert("RGB"), (0, top))
    return seen


def _stretched(values: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> Image.Image:
    """Band by band, in float64, which would take eight bytes a pixel several times over."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ImageError("corrupt", "pixels that are not finite numbers")
    seen = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), _BAND):
        band = values[top : top + _BAND].astype(np.float64)
        scaled = (band - low) * (255.0 / (high - low)) if high > low else np.clip(band, 0, 255)
        seen[top : top + _BAND] = np.rint(scaled)
    return Image.fromarray(seen).convert("RGB")
