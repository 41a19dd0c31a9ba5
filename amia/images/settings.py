"""Settings of images: limits of the input, and the format of the output."""

from typing import Literal

from pydantic import Field

from amia.utils.config import StrictModel

__all__ = ["MAX_FILE_BYTES", "Fit", "ImageSettings"]

Fit = Literal["cover", "stretch", "pad"]
"""How an image becomes square, see `ImageSettings.fit`."""

MAX_FILE_BYTES = 100_000_000
"""Upper limit of `ImageSettings.max_bytes`, so a reader never has to hold more of one image."""


class ImageSettings(StrictModel):
    """One geometry for every arm, including the original images: otherwise a gain may come from resizing alone."""

    size: int = Field(default=512, ge=16, le=4096)
    """Side of every written image, in pixels. 512 is the size of sd-turbo; 256 is enough for a recognizer that reads
    224, at a quarter of the bytes."""
    fit: Fit = "cover"
    """How an image of another shape becomes square. cover: scale the shorter side to size and crop the center.
    stretch: scale both sides to size, which distorts shapes. pad: keep the whole image and add black bars."""
    quality: int = Field(default=95, ge=1, le=100)
    """JPEG quality of every written image (4:2:0). The loss at 95 is nearly invisible; 85 halves the bytes."""
    max_bytes: int = Field(default=20_000_000, ge=1, le=MAX_FILE_BYTES)
    """Largest image file that is opened, in bytes. A larger one gets the status `bad_image(too_large)`."""
    max_pixels: int = Field(default=50_000_000, ge=1, le=178_000_000)
    """Largest width times height that is decoded. An image with more pixels according to its header gets the status
    `bad_image(too_many_pixels)`. Decoding takes 6 to 16 bytes of memory per pixel. Pillow itself refuses more than 178
    million."""
    max_side: int = Field(default=20_000, ge=1, le=65_535)
    """Longest side that is decoded, in pixels. An image with a longer side according to its header gets the status
    `bad_image(too_long)`."""
