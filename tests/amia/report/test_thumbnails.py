"""Thumbnails: small, square, encoded anew, under the corpus' limits."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from amia.images import ImageSettings
from amia.report.thumbnails import SIDE, data_uri, thumbnail

SETTINGS = ImageSettings(size=512)


def jpeg(width: int, height: int, **more: object) -> bytes:
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([rows * 255 // height, columns * 255 // width, np.zeros_like(rows)], axis=-1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **more)
    return buffer.getvalue()


def opened(data: bytes | None) -> Image.Image:
    assert data is not None
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("shape", [(1200, 800), (160, 160), (40, 900)])
def test_whatever_comes_is_a_small_square_webp(shape: tuple[int, int]) -> None:
    picture = opened(thumbnail(jpeg(*shape), SETTINGS))
    assert (picture.format, picture.size) == ("WEBP", (SIDE, SIDE))


def test_it_shows_the_middle_as_the_arms_do() -> None:
    pixels = np.asarray(opened(thumbnail(jpeg(1200, 600), SETTINGS)).convert("RGB")).astype(int)
    assert abs(pixels[80, 4, 1] - 64) < 12  # a quarter of the width is cut off on the left
    assert abs(pixels[80, 155, 1] - 191) < 12


def test_never_larger_than_the_arms_pictures() -> None:
    assert opened(thumbnail(jpeg(300, 200), ImageSettings(size=64))).size == (64, 64)


def test_nothing_hidden_in_the_file_comes_along() -> None:
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    data = jpeg(300, 200, exif=exif, comment=b"<script>alert(1)</script>") + b"a zip file behind it"
    assert b"where I live" in data
    small = thumbnail(data, SETTINGS)
    assert small is not None
    assert not [secret for secret in (b"where I live", b"<script>", b"zip file") if secret in small]
    assert not opened(small).getexif()


def test_what_is_no_image_or_too_large_has_none() -> None:
    assert thumbnail(None, SETTINGS) is None
    assert thumbnail(b"", SETTINGS) is None
    assert thumbnail(b"<svg onload=alert(1)>", SETTINGS) is None
    assert thumbnail(jpeg(300, 200)[:2000], SETTINGS) is None
    assert thumbnail(jpeg(300, 200), ImageSettings(max_pixels=50_000)) is None
    assert thumbnail(jpeg(300, 200), ImageSettings(max_bytes=100)) is None


def test_the_same_picture_gives_the_same_bytes() -> None:
    assert thumbnail(jpeg(300, 200), SETTINGS) == thumbnail(jpeg(300, 200), SETTINGS)


def test_an_address_holds_the_bytes() -> None:
    kind, _, data = data_uri(b"\x00<\xff").partition(",")
    assert (kind, base64.b64decode(data)) == ("data:image/webp;base64", b"\x00<\xff")
