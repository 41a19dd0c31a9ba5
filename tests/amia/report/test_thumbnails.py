"""Tests of thumbnails: small, square, re-encoded, within the limits of the corpus."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from amia.images import ImageSettings
from amia.report.thumbnails import THUMBNAIL_SIZE, data_uri, make_thumbnail

SETTINGS = ImageSettings(size=512)


def make_jpeg(width: int, height: int, **options: object) -> bytes:
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([rows * 255 // height, columns * 255 // width, np.zeros_like(rows)], axis=-1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def open_webp(data: bytes | None) -> Image.Image:
    assert data is not None
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("shape", [(1200, 800), (160, 160), (40, 900)])
def test_thumbnail_is_a_small_square_webp(shape: tuple[int, int]) -> None:
    image = open_webp(make_thumbnail(make_jpeg(*shape), SETTINGS))
    assert (image.format, image.size) == ("WEBP", (THUMBNAIL_SIZE, THUMBNAIL_SIZE))


def test_crops_the_center_like_the_arms() -> None:
    pixels = np.asarray(open_webp(make_thumbnail(make_jpeg(1200, 600), SETTINGS)).convert("RGB")).astype(int)
    assert abs(pixels[80, 4, 1] - 64) < 12  # a quarter of the width is cropped on the left
    assert abs(pixels[80, 155, 1] - 191) < 12


def test_not_larger_than_the_images_of_the_arms() -> None:
    assert open_webp(make_thumbnail(make_jpeg(300, 200), ImageSettings(size=64))).size == (64, 64)


def test_drops_metadata_and_hidden_data() -> None:
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    data = make_jpeg(300, 200, exif=exif, comment=b"<script>alert(1)</script>") + b"a zip file behind it"
    assert b"where I live" in data
    webp = make_thumbnail(data, SETTINGS)
    assert webp is not None
    assert not [secret for secret in (b"where I live", b"<script>", b"zip file") if secret in webp]
    assert not open_webp(webp).getexif()


def test_no_thumbnail_of_invalid_or_too_large_images() -> None:
    assert make_thumbnail(None, SETTINGS) is None
    assert make_thumbnail(b"", SETTINGS) is None
    assert make_thumbnail(b"<svg onload=alert(1)>", SETTINGS) is None
    assert make_thumbnail(make_jpeg(300, 200)[:2000], SETTINGS) is None
    assert make_thumbnail(make_jpeg(300, 200), ImageSettings(max_pixels=50_000)) is None
    assert make_thumbnail(make_jpeg(300, 200), ImageSettings(max_bytes=100)) is None


def test_is_deterministic() -> None:
    assert make_thumbnail(make_jpeg(300, 200), SETTINGS) == make_thumbnail(make_jpeg(300, 200), SETTINGS)


def test_data_uri_contains_the_bytes() -> None:
    kind, _, data = data_uri(b"\x00<\xff").partition(",")
    assert (kind, base64.b64decode(data)) == ("data:image/webp;base64", b"\x00<\xff")
