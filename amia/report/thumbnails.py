"""Small images for a page: decoded under the corpus' limits, brought to the arms' geometry, encoded anew.

Nothing of the bytes that came in reaches the page: metadata and whatever else was hidden in them are left behind.
"""

import base64
import io

from PIL import Image

from amia.errors import ImageError
from amia.images import ImageSettings, decode, resize_to_square

__all__ = ["SIDE", "data_uri", "thumbnail"]

SIDE = 160
"""Pixels a side."""
QUALITY = 70
"""Of WebP."""


def thumbnail(data: bytes | None, settings: ImageSettings) -> bytes | None:
    """A square WebP of at most SIDE pixels, in the geometry that `settings` give every arm; None for what is no image.

    Never larger than the arms' own images. `settings.max_bytes` and the others are the limits of decoding.
    """
    if data is None:
        return None
    geometry = settings.model_copy(update={"size": min(SIDE, settings.size)})
    try:
        pixels = resize_to_square(decode(data, settings, at_least=2 * geometry.size), geometry)
    except ImageError:
        return None
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=QUALITY, method=4)
    return buffer.getvalue()


def data_uri(webp: bytes) -> str:
    """The image as an address that needs no network."""
    return f"data:image/webp;base64,{base64.b64encode(webp).decode('ascii')}"
