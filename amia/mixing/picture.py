"""The picture of one post in one arm: eq. 9, from encoded images to an encoded image."""

import numpy as np
from numpy.typing import NDArray

from amia.images import ImageSettings, Source, decode_drawn, encode_jpeg
from amia.mixing.mixup import mixup

__all__ = ["mixed_picture", "source_of"]

INVISIBLE = 0.5 / 256
"""A share of either image that moves no pixel by half a grey level."""


def source_of(ratio: float) -> Source:
    """Where the pixels of a mixed picture come from, by its ratio."""
    if ratio < INVISIBLE:
        return "synthesized"
    return "original" if ratio > 1 - INVISIBLE else "blend"


def mixed_picture(
    original: NDArray[np.uint8] | None, synthesized: bytes | None, ratio: float, images: ImageSettings
) -> bytes:
    """The augmented image as JPEG.

    `original` `[size, size, 3]` is already in the one geometry; `synthesized` is a JPEG of that size. Where the blend
    would round to one of the two everywhere (a ratio within half a grey level of 0 or 1), that one is taken: of the
    synthesized image the file itself, since encoding it again would only lose. Raises ValueError when the picture that
    the ratio asks for is missing.
    """
    source = source_of(ratio)
    if source == "synthesized" and synthesized is not None:
        return synthesized
    if source == "original" and original is not None:
        return encode_jpeg(original, images.quality, source=source)
    if original is None or synthesized is None:
        raise ValueError(f"a ratio of {ratio:g} needs both pictures")
    drawn = decode_drawn(synthesized, images.size)  # [size, size, 3]
    return encode_jpeg(mixup(original, drawn, ratio), images.quality, source=source)
