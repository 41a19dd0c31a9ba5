"""JPEG encoding with the origin of the pixels in the metadata, and fast decoding of JPEGs that amia wrote."""

import io
from typing import Literal

import numpy as np
import numpy.typing as npt
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from amia.errors import ImageError

__all__ = ["Source", "decode_generated", "encode_jpeg"]

Source = Literal["original", "synthesized", "blend"]
"""Origin of an image's pixels."""

_IPTC_TERMS = {"synthesized": "trainedAlgorithmicMedia", "blend": "compositeWithTrainedAlgorithmicMedia"}
"""IPTC's vocabulary of digital source types, by which platforms and archives label generated images."""

_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/{term}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


def encode_jpeg(pixels: npt.NDArray[np.uint8], quality: int, *, source: Source) -> bytes:
    """Encode RGB pixels uint8 [height, width, 3] as baseline JPEG with 4:2:0 chroma; equal input gives equal bytes.

    `synthesized` and `blend` are marked by IPTC's digital source type in an XMP packet; `original` has no metadata.
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
    """Return the pixels uint8 `[size, size, 3]` of a JPEG that `encode_jpeg` wrote.

    The pixels equal those of `decode` bit by bit; calling the decoder directly avoids Pillow's overhead. Raises
    ImageError (`corrupt`) for any other file and for another size, before pixels are decoded.
    """
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
        if (height, width, colors) != (size, size, "YCbCr"):
            raise ImageError("corrupt", f"{width} x {height}, {colors}: not a color image of {size} x {size}")
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", fastdct=False, fastupsample=False)
    except ValueError as error:
        raise ImageError("corrupt", str(error)) from error
    return pixels
