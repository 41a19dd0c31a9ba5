"""Eq. 9: V_mix = ratio * I + (1 - ratio) * V, pixel by pixel."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["mixup"]


def mixup(original: NDArray[np.uint8], synthesized: NDArray[np.uint8], ratio: float) -> NDArray[np.uint8]:
    """The augmented image, uint8 `[h, w, 3]`, of the original I and the synthesized V of the same shape.

    The blend is made in float32 on the stored sRGB values and rounded to the nearest grey level, halves to the even
    one. Ratio 1 gives exactly the original, 0 exactly the synthesized image; every pixel lies between its two sources
    and moves monotonically with the ratio.

    Raises ValueError when the shapes differ or the ratio is outside [0, 1].
    """
    if original.shape != synthesized.shape:
        raise ValueError(f"the images differ in shape: {original.shape} and {synthesized.shape}")
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio {ratio} is outside [0, 1]")
    # V + ratio (I - V) is eq. 9 with one product instead of two: it cannot leave the interval between V and I, and
    # float32 holds every difference of two grey levels exactly. In place: fresh memory costs more than the arithmetic.
    base, blend = synthesized.astype(np.float32), original.astype(np.float32)  # [h, w, 3]
    blend -= base
    blend *= np.float32(ratio)
    blend += base
    np.rint(blend, out=blend)
    return blend.astype(np.uint8)
