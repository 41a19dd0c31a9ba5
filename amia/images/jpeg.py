"""Pixels to JPEG bytes, with where they come from said in the file's metadata."""

import io
from typing import Literal

import numpy as np
import numpy.typing as npt
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from amia.errors import ImageError

__all__ = ["Source", "decode_generated", "encode_jpeg"]

# MERGED FROM amia.images.jpeg: Decoding again what amia encoded: the images of a run, of which everything is known but whether they are whole.
Source = Literal["original", "synthesized", "blend"]

_IPTC_TERMS = {"synthesized": "trainedAlgorithmicMedia", "blend": "compositeWithTrainedAlgorithmicMedia"}
"""IPTC's vocabulary of digital source types, which platforms and archives read to label what a model has made."""

_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/{term}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


def encode_jpeg(pixels: npt.NDArray[np.uint8], quality: int, *, source: Source) -> bytes:
    """Baseline JPEG with 4:2:0 chroma of RGB pixels uint8 [height, width, 3]; the same bytes for the same input.

    `synthesized` and `blend` are marked in an XMP packet by IPTC's digital source type; `original` carries no metadata.
    Raises ValueError for another shape or dtype, and for a quality outside 1 to 100.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels must be uint8 [height, width, 3], not {pixels.dtype} {list(pixels.shape)}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality {quality} is outside 1 to 100")
    buffer = io.BytesIO()
    packet = {"xmp": _XMP.format(term=_IPTC_TERMS[source]).encode()} if source in _IPTC_TERMS else {}
    Image.fromarray(np.ascontiguousarray(pixels)).save(
        buffer, "JPEG", quality=quality, subsampling="4:2:0", optimize=False, progressive=False, **packet
    )
    return buffer.getvalue()


def decode_generated(data: bytes, size: int) -> NDArray[np.uint8]:
    """Pixels uint8 `[size, size, 3]` of a JPEG that `encode_jpeg` made of as many.

    The same pixels as `decode` gives, to the bit, without what Pillow puts around the same decoder. Raises ImageError
    (`corrupt`) for any other file, another size's too, before its pixels are decoded.
    """
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
        if (height, width, colors) != (size, size, "YCbCr"):
            raise ImageError("corrupt", f"{width} x {height}, {colors}: no image of {size} x {size} in color")
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", fastdct=False, fastupsample=False)
    except ValueError as error:
        raise ImageError("corrupt", str(error)) from error
    return pixels
