"""An image file's bytes to pixels. The bytes come from strangers: everything is checked before anything is decoded."""

import io

from PIL import BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from amia.errors import ImageError
from amia.images.color import to_rgb
from amia.images.pillow_warnings import silence_pillow
from amia.images.settings import ImageSettings
from amia.images.structure_limits import check_structure

__all__ = ["decode", "inspect"]

_BEGINNINGS = {
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile.format,
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile.format,
    b"GIF8": GifImagePlugin.GifImageFile.format,
    b"RIFF": WebPImagePlugin.WebPImageFile.format,
    b"BM": BmpImagePlugin.BmpImageFile.format,
    b"II*\0": TiffImagePlugin.TiffImageFile.format,
    b"MM\0*": TiffImagePlugin.TiffImageFile.format,
}
"""How a file of each format that is opened begins. Pillow knows some forty more, among them EPS, which runs Ghostscript
on the file; none of those is ever tried. File names and their endings play no part."""

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what turns the stored pixels upright."""


def inspect(data: bytes, settings: ImageSettings) -> tuple[int, int]:
    """(width, height) in pixels as the header says, before any EXIF rotation; nothing is decoded.

    Raises ImageError: `empty`, `too_large` (bytes), `not_an_image` (none of the formats that are opened), `corrupt`
    (begins like an image, but its header makes no sense), `too_many_pixels`, `too_long`, `too_many_parts` (reading it
    might not end).
    """
    with silence_pillow():
        return _opened(data, settings).size


def decode(data: bytes, settings: ImageSettings, *, at_least: int | None = None) -> Image.Image:
    """The image: RGB, upright, without metadata; of an animation the first frame.

    `at_least` (pixels) says that an image whose shorter side keeps that many is enough: a large JPEG is then decoded
    at 1/2, 1/4 or 1/8 of its size, which is faster. Take twice the side you resize to. Deterministic either way.

    Color profiles are ignored, broken ones and broken EXIF too. Raises ImageError with the reasons of `inspect`, and
    `truncated` (the file ends too early), `corrupt` (any other way in which decoding fails), and never anything else.
    """
    with silence_pillow():
        image = _opened(data, settings)
        try:
            if at_least is not None:
                image.draft("RGB", (at_least, at_least))
            image.load()
            turn = _UPRIGHT.get(_orientation(image))
            picture = to_rgb(image)
            if turn is not None:
                picture = picture.transpose(turn)
        except ImageError:
            raise
        except Exception as error:  # hostile bytes make decoders fail in every way there is
            reason = "truncated" if "truncated" in str(error) else "corrupt"
            raise ImageError(reason, str(error)) from error
    picture.info.clear()
    return picture


def _opened(data: bytes, settings: ImageSettings) -> Image.Image:
    """The image with its header read and checked, its pixels not yet decoded."""
    if not data:
        raise ImageError("empty")
    if len(data) > settings.max_bytes:
        raise ImageError("too_large", f"{len(data)} bytes, allowed are {settings.max_bytes}")
    known = next((name for beginning, name in _BEGINNINGS.items() if data.startswith(beginning)), None)
    if known is None:
        raise ImageError("not_an_image", f"begins with {data[:12]!r}")
    check_structure(data, known, settings.max_pixels)
    try:
        image = Image.open(io.BytesIO(data), formats=[known])
        width, height = image.size
    except Image.DecompressionBombError as error:
        raise ImageError("too_many_pixels", str(error)) from error
    except Exception as error:  # likewise of headers
        raise ImageError("corrupt", str(error)) from error
    if width * height > settings.max_pixels:
        raise ImageError("too_many_pixels", f"{width} x {height}, allowed are {settings.max_pixels} pixels")
    if max(width, height) > settings.max_side:
        raise ImageError("too_long", f"{width} x {height}, allowed are {settings.max_side} pixels a side")
    return image


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
        return value if isinstance(value, int) else 1
    except Exception:  # noqa: BLE001 - an image with broken EXIF is still an image
        return 1
