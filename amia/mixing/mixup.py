"""Eq. 9: V_mix = ratio * I + (1 - ratio) * V, pixel by pixel."""

import numpy as np
from numpy.typing import NDArray

from amia.images import ImageSettings, Source, decode_generated, encode_jpeg

__all__ = ["mix_images", "mixup", "source_label"]

# MERGED FROM amia.mixing.mixup: The image of one post in one arm: eq. 9, from encoded images to an encoded image.
_AT_ONCE = 1 << 16
"""Values that are blended at once: two such blocks of floats stay in a core's cache."""


def mixup(original: NDArray[np.uint8], synthesized: NDArray[np.uint8], ratio: float) -> NDArray[np.uint8]:
    """The augmented image, uint8 `[h, w, 3]`, of the original I and the synthesized V of the same shape.

    The blend is made in float32 on the stored sRGB values and rounded to the nearest gray level, halves to the even
    one. Ratio 1 gives exactly the original, 0 exactly the synthesized image; every pixel lies between its two sources
    and moves monotonically with the ratio.

    Raises ValueError when the shapes differ or the ratio is outside [0, 1].
    """
    if original.shape != synthesized.shape:
        raise ValueError(f"the images differ in shape: {original.shape} and {synthesized.shape}")
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio {ratio} is outside [0, 1]")
    # V + ratio (I - V) is eq. 9 with one product instead of two: it cannot leave the interval between V and I, and
    # float32 holds every difference of two gray levels exactly. Some rows at a time and in place: fresh memory for
    # whole images of floats costs more than the arithmetic.
    mixed = np.empty_like(synthesized)
    rows = max(1, _AT_ONCE * len(mixed) // max(1, mixed.size))
    for start in range(0, len(mixed), rows):
        band = slice(start, start + rows)
        base, blend = synthesized[band].astype(np.float32), original[band].astype(np.float32)  # [rows, w, 3]
        blend -= base
        blend *= np.float32(ratio)
        blend += base
        mixed[band] = np.rint(blend, out=blend)
    return mixed


INVISIBLE = 0.5 / 256
"""A share of either image that moves no pixel by half a gray level."""


def source_label(ratio: float) -> Source:
    """Where the pixels of a mixed image come from, by its ratio."""
    if ratio < INVISIBLE:
        return "synthesized"
    return "original" if ratio > 1 - INVISIBLE else "blend"


def mix_images(
    original: NDArray[np.uint8] | None, synthesized: bytes | None, ratio: float, images: ImageSettings
) -> bytes:
    """The augmented image as JPEG.

    `original` `[size, size, 3]` is already in the one geometry; `synthesized` is a JPEG of that size. Where the blend
    would round to one of the two everywhere (a ratio within half a gray level of 0 or 1), that one is taken: of the
    synthesized image the file itself, since encoding it again would only lose. Raises ValueError when the image that
    the ratio asks for is missing.
    """
    source = source_label(ratio)
    if source == "synthesized" and synthesized is not None:
        return synthesized
    if source == "original" and original is not None:
        return encode_jpeg(original, images.quality, source=source)
    if original is None or synthesized is None:
        raise ValueError(f"a ratio of {ratio:g} needs both images")
    drawn = decode_generated(synthesized, images.size)  # [size, size, 3]
    return encode_jpeg(mixup(original, drawn, ratio), images.quality, source=source)
