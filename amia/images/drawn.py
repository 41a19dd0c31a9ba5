"""Decoding again what amia encoded: the pictures of a run, of which everything is known but whether they are whole."""

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from amia.errors import ImageError

__all__ = ["decode_drawn"]


def decode_drawn(data: bytes, size: int) -> NDArray[np.uint8]:
    """Pixels uint8 `[size, size, 3]` of a JPEG that `encode_jpeg` made of as many.

    The same pixels as `decode` gives, to the bit, without what Pillow puts around the same decoder. Raises ImageError
    (`corrupt`) for any other file, another size's too, before its pixels are decoded.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if (height, width, colours) != (size, size, "YCbCr"):
            raise ImageError("corrupt", f"{width} x {height}, {colours}: no picture of {size} x {size} in colour")
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", fastdct=False, fastupsample=False)
    except ValueError as error:
        raise ImageError("corrupt", str(error)) from error
    return pixels
