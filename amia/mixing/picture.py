"""The picture of one post in one arm: eq. 9, from encoded images to an encoded image."""

import numpy as np
from numpy.typing import NDArray

from amia.images import ImageSettings, decode, encode_jpeg
from amia.mixing.mixup import mixup

__all__ = ["mixed_picture"]


def mixed_picture(
    original: NDArray[np.uint8] | None, synthesized: bytes | None, ratio: float, images: ImageSettings
) -> bytes:
    """The augmented image as JPEG.

    `original` `[size, size, 3]` is already in the one geometry; `synthesized` is a JPEG of that size. At a ratio of 0
    the synthesized file itself comes back, since encoding it again would only lose, and at 1 it is not looked at.
    Raises ValueError when the picture that the ratio asks for is missing.
    """
    if ratio == 0.0 and synthesized is not None:
        return synthesized
    if ratio == 1.0 and original is not None:
        return encode_jpeg(original, images.quality, source="original")
    if original is None or synthesized is None:
        raise ValueError(f"a ratio of {ratio:g} needs both pictures")
    drawn = np.asarray(decode(synthesized, images))  # [size, size, 3]
    return encode_jpeg(mixup(original, drawn, ratio), images.quality, source="blend")
