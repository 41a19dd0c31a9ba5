"""Decoding of image files. The bytes are untrusted: everything is checked before anything is decoded."""

import io

from PIL import BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from amia.errors import ImageError
from amia.images.color import to_rgb
from amia.images.pillow_warnings import silence_pillow
from amia.images.settings import ImageSettings
from amia.images.structure_limits import check_structure

__all__ = ["decode", "inspect"]

_SIGNATURES = {
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile.format,
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile.format,
    b"GIF8": GifImagePlugin.GifImageFile.format,
    b"RIFF": WebPImagePlugin.WebPImageFile.format,
    b"BM": BmpImagePlugin.BmpImageFile.format,
    b"II*\0": TiffImagePlugin.TiffImageFile.format,
    b"MM\0*": TiffImagePlugin.TiffImageFile.format,
}
"""First bytes of each allowed format -> Pillow's name of it. File names play no part. Pillow supports some forty more
formats, among them EPS, which runs Ghostscript on the file; none of those is ever tried."""

_ORIENTATION_TAG = 0x0112
_TRANSPOSE_BY_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> operation that turns the stored pixels upright."""


def inspect(data: bytes, settings: ImageSettings) -> tuple[int, int]:
    """Return (width, height) in pixels from the header, before any EXIF rotation, without decoding pixels.

    Raises ImageError: `empty`, `too_large` (bytes), `not_an_image` (none of the allowed formats), `corrupt` (begins
    like an image, but its header is invalid), `too_many_pixels`, `too_long`, `too_many_parts` (reading it might not
    end).
    """
    with silence_pillow():
        return _open(data, settings).size


def decode(data: bytes, settings: ImageSettings, *, at_least: int | None = None) -> Image.Image:
    """Return the image: RGB, upright, without metadata; the first frame of an animation.

    `at_least` (pixels) allows a smaller result whose shorter side has at least that length: a large JPEG is then
    decoded at 1/2, 1/4 or 1/8 of its size, which is faster. Pass twice the side that you resize to. The result is
    deterministic in both cases.

    Color profiles are ignored, and so are broken profiles and broken EXIF. Raises ImageError with the reasons of
    `inspect`, `truncated` (the file ends too early) or `corrupt` (decoding fails in any other way), and no other error.
    """
    with silence_pillow():
        opened = _open(data, settings)
        try:
            if at_least is not None:
                opened.draft("RGB", (at_least, at_least))
            opened.load()
            transpose = _TRANSPOSE_BY_ORIENTATION.get(_orientation(opened))
            image = to_rgb(opened)
            if transpose is not None:
                image = image.transpose(transpose)
        except ImageError:
            raise
        except Exception as error:  # hostile bytes make decoders fail in every possible way
            reason = "truncated" if "truncated" in str(error) else "corrupt"
            raise ImageError(reason, str(error)) from error
    image.info.clear()
    return image


def _open(data: bytes, settings: ImageSettings) -> Image.Image:
    """Return the image with its header read and checked, and its pixels not yet decoded."""
    if not data:
        raise ImageError("empty")
    if len(data) > settings.max_bytes:
        raise ImageError("too_large", f"{len(data)} bytes, the limit is {settings.max_bytes}")
    kind = next((name for signature, name in _SIGNATURES.items() if data.startswith(signature)), None)
    if kind is None:
        raise ImageError("not_an_image", f"begins with {data[:12]!r}")
    check_structure(data, kind, settings.max_pixels)
    try:
        image = Image.open(io.BytesIO(data), formats=[kind])
        width, height = image.size
    except Image.DecompressionBombError as error:
        raise ImageError("too_many_pixels", str(error)) from error
    except Exception as error:  # hostile headers, too
        raise ImageError("corrupt", str(error)) from error
    if width * height > settings.max_pixels:
        raise ImageError("too_many_pixels", f"{width} x {height}, the limit is {settings.max_pixels} pixels")
    if max(width, height) > settings.max_side:
        raise ImageError("too_long", f"{width} x {height}, the limit is {settings.max_side} pixels per side")
    return image


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
        return value if isinstance(value, int) else 1
    except Exception:  # noqa: BLE001 - an image with broken EXIF is still usable
        return 1
