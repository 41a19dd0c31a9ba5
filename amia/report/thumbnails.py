"""Thumbnails for the report: decoded within the limits of the corpus, cropped like the images of an arm, re-encoded.

Re-encoding drops metadata and any other data hidden in the original file.
"""

import base64
import io

from PIL import Image

from amia.errors import ImageError
from amia.images import ImageSettings, decode, resize_to_square

__all__ = ["THUMBNAIL_SIZE", "data_uri", "make_thumbnail"]

THUMBNAIL_SIZE = 160
"""Maximum height and width in pixels."""
WEBP_QUALITY = 70


def make_thumbnail(data: bytes | None, settings: ImageSettings) -> bytes | None:
    """Return a square WebP of at most THUMBNAIL_SIZE pixels, resized as `settings` define; None if decoding fails.

    It is never larger than the images of an arm. `settings` also define the limits of decoding.
    """
    if data is None:
        return None
    thumbnail_settings = settings.model_copy(update={"size": min(THUMBNAIL_SIZE, settings.size)})
    try:
        image = decode(data, settings, at_least=2 * thumbnail_settings.size)
        pixels = resize_to_square(image, thumbnail_settings)
    except ImageError:
        return None
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=WEBP_QUALITY, method=4)
    return buffer.getvalue()


def data_uri(webp: bytes) -> str:
    """Return the image as a data URI, which needs no network access."""
    return f"data:image/webp;base64,{base64.b64encode(webp).decode('ascii')}"
