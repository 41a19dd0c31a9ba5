"""Any mode that a picture may have, to RGB as a person would see it on a white page."""

import numpy as np
from PIL import Image

from amia.errors import ImageError

__all__ = ["to_rgb"]


def to_rgb(image: Image.Image) -> Image.Image:
    """A loaded image of any mode as RGB, 8 bits a channel.

    16-bit grey is scaled to 8; 32-bit integers and floats, which have no agreed white, are stretched from their own
    darkest to their own brightest pixel. Transparent parts become white. CMYK is converted without its colour profile
    (Pillow has undone Adobe's inversion already). Raises ImageError (`corrupt`) for floats that are not finite.
    """
    if image.mode.startswith("I;16"):
        # convert("L") would clip every grey above 255 to white.
        return Image.fromarray(np.rint(np.asarray(image) / 257.0).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        return _stretched(np.asarray(image, dtype=np.float64))
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    return image.convert("RGB")


def _stretched(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> Image.Image:
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ImageError("corrupt", "pixels that are not finite numbers")
    scaled = (values - low) * (255.0 / (high - low)) if high > low else np.clip(values, 0, 255)
    return Image.fromarray(np.rint(scaled).astype(np.uint8)).convert("RGB")
