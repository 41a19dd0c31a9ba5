"""The images of an export: every one JPEG, RGB, square, of one size."""

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
"""Public code reads an image anew in every epoch and arm; a second lossy step must not be what differs."""
PLACEHOLDERS = ("17_06_4705.jpg", "inf.png")
"""What public code shows for an image it cannot read: UMT, MAF and SMVAE the first, HVPNeT the second."""
_GRAY = 128
_LIMITS = ImageSettings(max_bytes=MAX_FILE_BYTES)


@dataclass(frozen=True, slots=True)
class ImageExporter:
    """From an arm's images to those of the export."""

    stored: ImageSettings
    """How the arm's images were written: size and quality."""
    size: int
    """Pixels a side in the export."""

    @property
    def quality(self) -> int:
        """JPEG quality in the export: the arm's own, at least 95."""
        return max(MIN_QUALITY, self.stored.quality)

    @property
    def unchanged(self) -> bool:
        """Whether the arm's bytes are taken as they are: the size and the quality are right already."""
        return self.size == self.stored.size and self.quality == self.stored.quality

    def of(self, row: Mapping[str, Any]) -> bytes | None:
        """The JPEG of an augmented row (`image`, `ratio`), or None where the arm has no image of the post."""
        if row["image"] is None:
            return None
        data: bytes = row["image"]["bytes"]
        if self.unchanged:
            return data
        pixels = resize_to_square(decode(data, _LIMITS), ImageSettings(size=self.size))  # [size, size, 3]
        return encode_jpeg(pixels, self.quality, source=source_label(row["ratio"]))


def placeholders(size: int) -> dict[str, bytes]:
    """The files of `PLACEHOLDERS`: plain gray, `size` by `size`."""
    pixels = np.full((size, size, 3), _GRAY, np.uint8)
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    jpeg, other = PLACEHOLDERS
    return {jpeg: encode_jpeg(pixels, MIN_QUALITY, source="original"), other: png.getvalue()}
