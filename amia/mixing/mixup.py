"""Eq. 9: V_mix = ratio * I + (1 - ratio) * V, pixel by pixel, on pixels and on encoded images."""

import numpy as np
from numpy.typing import NDArray

from amia.images import ImageSettings, Source, decode_generated, encode_jpeg

__all__ = ["mix_images", "mixup", "source_label"]

NEGLIGIBLE_RATIO = 0.5 / 256
"""A smaller share of either image changes no pixel by half a gray level."""
_BLOCK_VALUES = 1 << 16
"""Values that are blended at once: two such blocks of float32 fit into a core's cache."""


def mixup(original: NDArray[np.uint8], synthesized: NDArray[np.uint8], ratio: float) -> NDArray[np.uint8]:
    """Blend the original I and the synthesized V, both uint8 `[h, w, 3]`, to the augmented image of the same shape.

    The blend is computed in float32 on the stored sRGB values and rounded to the nearest gray level, half to even.
    Ratio 1 gives exactly the original, 0 exactly the synthesized image; every pixel is between its two sources and
    changes monotonically with the ratio.

    Raises ValueError if the shapes differ or the ratio is outside [0, 1].
    """
    if original.shape != synthesized.shape:
        raise ValueError(f"the images differ in shape: {original.shape} and {synthesized.shape}")
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio {ratio} is outside [0, 1]")
    # V + ratio (I - V) is eq. 9 with one product instead of two. It cannot leave the interval between V and I, and
    # float32 represents every difference of two gray levels exactly. Blocks of rows are blended in place, since
    # allocating whole images of floats costs more than the arithmetic.
    mixed = np.empty_like(synthesized)
    rows = max(1, _BLOCK_VALUES * len(mixed) // max(1, mixed.size))
    for start in range(0, len(mixed), rows):
        band = slice(start, start + rows)
        base, blend = synthesized[band].astype(np.float32), original[band].astype(np.float32)  # [rows, w, 3]
        blend -= base
        blend *= np.float32(ratio)
        blend += base
        mixed[band] = np.rint(blend, out=blend)
    return mixed


def mix_images(
    original: NDArray[np.uint8] | None, synthesized: bytes | None, ratio: float, images: ImageSettings
) -> bytes:
    """Return the augmented image of one post as JPEG.

    `original` `[size, size, 3]` is already resized; `synthesized` is a JPEG of the same size. If the blend would round
    to one of the two images everywhere (a ratio within half a gray level of 0 or 1), that image is used. The
    synthesized image is then returned as it is, since encoding it again would only lose quality. Raises ValueError if
    an image that the ratio requires is missing.
    """
    source = source_label(ratio)
    if source == "synthesized" and synthesized is not None:
        return synthesized
    if source == "original" and original is not None:
        return encode_jpeg(original, images.quality, source=source)
    if original is None or synthesized is None:
        raise ValueError(f"a ratio of {ratio:g} needs both images")
    generated = decode_generated(synthesized, images.size)  # [size, size, 3]
    return encode_jpeg(mixup(original, generated, ratio), images.quality, source=source)


def source_label(ratio: float) -> Source:
    """Return the origin of a mixed image's pixels, by its ratio."""
    if ratio < NEGLIGIBLE_RATIO:
        return "synthesized"
    return "original" if ratio > 1 - NEGLIGIBLE_RATIO else "blend"
