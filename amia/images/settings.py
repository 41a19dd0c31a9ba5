"""What images may come in, and what they look like when they go out."""

from typing import Literal

from pydantic import Field

from amia.utils.config import StrictModel

__all__ = ["MAX_FILE_BYTES", "Fit", "ImageSettings"]

Fit = Literal["cover", "stretch", "pad"]

MAX_FILE_BYTES = 100_000_000
"""Bytes. No setting lets a bigger image in, so a reader never has to hold more of one."""


class ImageSettings(StrictModel):
    """One geometry for every arm, the originals included: otherwise a gain may be no more than a resize."""

    size: int = Field(default=512, ge=16, le=4096)
    """Pixels a side of every image that is written. 512 is what sd-turbo draws; a recognizer that reads 224 is served
    by 256, at a quarter of the bytes."""
    fit: Fit = "cover"
    """How an image of another shape becomes square. cover: shrink or grow until the shorter side fits, keep the middle.
    stretch: both sides to size, shapes distort. pad: the whole image, black bars beside it."""
    quality: int = Field(default=95, ge=1, le=100)
    """JPEG quality of every image that is written (4:2:0). 95 is near invisible; 85 halves the bytes."""
    max_bytes: int = Field(default=20_000_000, ge=1, le=MAX_FILE_BYTES)
    """Bytes. A larger image file is not opened: `bad_image(too_large)`."""
    max_pixels: int = Field(default=50_000_000, ge=1, le=178_000_000)
    """Width times height. An image whose header says more is not decoded: `bad_image(too_many_pixels)`. Decoding takes
    6 to 16 bytes of memory a pixel. Above 178 million Pillow itself refuses."""
    max_side: int = Field(default=20_000, ge=1, le=65_535)
    """Pixels. An image whose header says a longer side is not decoded: `bad_image(too_long)`."""
