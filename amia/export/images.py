"""Images of an export: JPEG, RGB, square, all of one size."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from amia.images import MAX_FILE_BYTES, ImageSettings, decode, encode_jpeg, resize_to_square
from amia.mixing.mixup import source_label

__all__ = ["MIN_QUALITY", "PLACEHOLDERS", "ImageExporter", "placeholders"]

MIN_QUALITY = 95
"""High enough that a second lossy compression does not cause a difference between arms."""
PLACEHOLDERS = ("17_06_4705.jpg", "inf.png")
"""Images that public code uses in place of one it cannot read: UMT, MAF and SMVAE the first, HVPNeT the second."""
_GRAY = 128
_LIMITS = ImageSettings(max_bytes=MAX_FILE_BYTES)


@dataclass(frozen=True, slots=True)
class ImageExporter:
    """Converts images of an arm to images of the export."""

    stored: ImageSettings
    """Settings of the arm's images: size and quality."""
    size: int
    """Pixels a side in the export."""

    @property
    def quality(self) -> int:
        """JPEG quality in the export: that of the arm, at least 95."""
        return max(MIN_QUALITY, self.stored.quality)

    @property
    def unchanged(self) -> bool:
        """Whether the arm's bytes are exported unchanged, since size and quality are the same."""
        return self.size == self.stored.size and self.quality == self.stored.quality

    def convert(self, row: Mapping[str, Any]) -> bytes | None:
        """Return the JPEG of an augmented row (`image`, `ratio`), or None if the arm has no image of the post."""
        if row["image"] is None:
            return None
        data: bytes = row["image"]["bytes"]
        if self.unchanged:
            return data
        pixels = resize_to_square(decode(data, _LIMITS), ImageSettings(size=self.size))  # [size, size, 3]
        return encode_jpeg(pixels, self.quality, source=source_label(row["ratio"]))


def placeholders(size: int) -> dict[str, bytes]:
    """Return the files of `PLACEHOLDERS` by name: plain gray, `size` by `size`."""
    pixels = np.full((size, size, 3), _GRAY, np.uint8)
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    jpeg_name, png_name = PLACEHOLDERS
    return {jpeg_name: encode_jpeg(pixels, MIN_QUALITY, source="original"), png_name: png.getvalue()}
