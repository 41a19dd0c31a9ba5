"""Decoding of unusual, damaged and hostile image files."""

import io
import struct
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, UnidentifiedImageError

from amia.errors import ImageError
from amia.images import ImageSettings, decode, inspect, resize_to_square
from tests.helpers.sample_images import BLUE, GREEN, RED, WHITE, corner_pixels, encode_image, is_close, sample_image
from tests.hostile.image_bytes import gray, tiff

SETTINGS = ImageSettings()


def failure_reason(data: bytes, settings: ImageSettings = SETTINGS) -> str:
    with pytest.raises(ImageError) as caught:
        decode(data, settings)
    return caught.value.reason


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"quality": 95, "subsampling": 0, "progressive": True}),
        ("PNG", {}),
        ("GIF", {}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("MPO", {"quality": 95, "subsampling": 0, "save_all": True, "append_images": [sample_image()]}),
    ],
)
def test_decodes_every_allowed_format(kind: str, options: dict[str, object]) -> None:
    data = encode_image(sample_image(), kind, **options)
    image = decode(data, SETTINGS)
    assert inspect(data, SETTINGS) == image.size == (48, 32)
    assert image.mode == "RGB"
    assert is_close(corner_pixels(image), [RED, GREEN, BLUE, WHITE])


@pytest.mark.parametrize("kind", ["EPS", "PDF", "PPM", "ICO", "TGA", "PCX", "JPEG2000"])
def test_rejects_other_formats(kind: str) -> None:
    assert failure_reason(encode_image(sample_image(), kind)) == "not_an_image"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_undone(kind: str, orientation: int) -> None:
    inverse = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = sample_image() if inverse is None else sample_image().transpose(inverse)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode(encode_image(stored, kind, exif=exif), SETTINGS)
    assert image.size == (48, 32)
    assert is_close(corner_pixels(image), [RED, GREEN, BLUE, WHITE], tolerance=30)
    assert not image.info


def test_cmyk_with_and_without_adobe_marker() -> None:
    marked = encode_image(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    assert is_close([decode(marked, SETTINGS).getpixel((8, 8))], [(255, 0, 0)])
    at = marked.index(b"\xff\xee")
    length = struct.unpack(">H", marked[at + 2 : at + 4])[0]
    unmarked = marked[:at] + marked[at + 2 + length :]
    assert b"Adobe" not in unmarked
    assert is_close([decode(unmarked, SETTINGS).getpixel((8, 8))], [(255, 0, 0)])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_become_white(mode: str) -> None:
    image = Image.new("RGBA", (20, 20), (10, 10, 10, 255))
    image.paste((10, 10, 10, 0), (0, 0, 10, 20))
    decoded = decode(encode_image(image.convert(mode), "PNG"), SETTINGS)
    assert is_close([decoded.getpixel((2, 2)), decoded.getpixel((17, 17))], [WHITE, (10, 10, 10)], tolerance=1)


def test_half_transparency_is_blended_with_white() -> None:
    decoded = decode(encode_image(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG"), SETTINGS)
    assert decoded.getpixel((1, 1)) == (127, 127, 127)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "I;16"])
def test_transparent_color_key(mode: str) -> None:
    key = (0, 0, 0) if mode == "RGB" else 0
    decoded = decode(encode_image(Image.new(mode, (8, 8), key), "PNG", transparency=key), SETTINGS)
    expected = (0, 0, 0) if mode == "I;16" else WHITE
    assert decoded.getpixel((4, 4)) == expected


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_gray_is_scaled_not_clipped(kind: str) -> None:
    gray = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    decoded = np.asarray(decode(encode_image(Image.fromarray(gray), kind), SETTINGS))
    np.testing.assert_array_equal(decoded, np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2))


def test_float_and_32_bit_pixels_are_stretched() -> None:
    ramp = np.linspace(-5.0, 5.0, 256, dtype=np.float32).reshape(16, 16)
    expected = np.arange(256).reshape(16, 16)
    for values in (ramp, (ramp * 1000).astype(np.int32)):
        decoded = np.asarray(decode(encode_image(Image.fromarray(values), "TIFF"), SETTINGS))[..., 0]
        assert np.abs(decoded.astype(int) - expected).max() <= 1
    ramp[3, 3] = np.nan
    assert failure_reason(encode_image(Image.fromarray(ramp), "TIFF")) == "corrupt"


def test_one_bit_pixels() -> None:
    image = Image.new("1", (16, 16), 1)
    image.putpixel((0, 0), 0)
    decoded = decode(encode_image(image, "PNG"), SETTINGS)
    assert decoded.getpixel((0, 0)) == (0, 0, 0)
    assert decoded.getpixel((5, 5)) == WHITE


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (24, 24), color) for color in (RED, BLUE, GREEN)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode_image(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)
    assert is_close([decode(data, SETTINGS).getpixel((12, 12))], [RED], tolerance=2)


def test_broken_exif_and_icc_are_ignored() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for icc in (b"\x00junk" * 50, profile[: len(profile) // 2]):
        for exif in (
            b"Exif\x00\x00MM\x00*\xff\xff\xff\xff",
            b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff" + b"\x12\x01" * 40,
        ):
            for kind in ("JPEG", "PNG", "WEBP"):
                image = decode(encode_image(sample_image(), kind, icc_profile=icc, exif=exif), SETTINGS)
                assert image.size in {(48, 32), (32, 48)}
                assert not image.info


@pytest.mark.promise(19)
def test_failure_reasons() -> None:
    jpeg, png = encode_image(sample_image(), "JPEG"), encode_image(sample_image(), "PNG")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    assert failure_reason(b"") == "empty"
    assert failure_reason(b"<!DOCTYPE html><html><body>404 Not Found</body></html>") == "not_an_image"
    assert failure_reason(b"\xff") == "not_an_image"
    assert failure_reason(jpeg[:40]) == "corrupt"
    assert failure_reason(png[:20]) == "corrupt"
    for kind in ("JPEG", "PNG"):
        data = encode_image(noise, kind)
        assert failure_reason(data[: len(data) // 2]) == "truncated"
    assert failure_reason(jpeg, ImageSettings(max_bytes=100)) == "too_large"
    assert failure_reason(jpeg, ImageSettings(max_pixels=48 * 32 - 1)) == "too_many_pixels"
    assert failure_reason(jpeg, ImageSettings(max_side=47)) == "too_long"
    assert decode(jpeg, ImageSettings(max_pixels=48 * 32, max_side=48, max_bytes=len(jpeg))).size == (48, 32)


def png_header(width: int, height: int) -> bytes:
    """Return a PNG whose header announces more pixels than it holds."""
    import zlib

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\x00" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.promise(35)
@pytest.mark.parametrize(
    ("width", "height"), [(9_000, 9_000), (11_000, 9_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)]
)
def test_rejects_decompression_bomb_without_warning(width: int, height: int) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(ImageError) as caught:
            inspect(png_header(width, height), SETTINGS)
        assert failure_reason(png_header(width, height)) == caught.value.reason == "too_many_pixels"
    assert not seen


def test_warning_filters_are_restored_after_threads() -> None:
    data = png_header(12_000, 8_000)
    threads = [threading.Thread(target=lambda: [failure_reason(data) for _ in range(20)]) for _ in range(8)]
    before = list(warnings.filters)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def test_logged_errors_of_pillow_are_suppressed(caplog: pytest.LogCaptureFixture) -> None:
    data = tiff(gray(8, 8) | {277: (3, [27_136]), 273: (4, [8]), 278: (3, [8])}, bytes(64))
    assert failure_reason(data) == "corrupt"
    assert not caplog.records
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(data))
    assert [record.name for record in caplog.records] == ["PIL.TiffImagePlugin"]


@pytest.mark.promise(19)
def test_extreme_shapes() -> None:
    assert resize_to_square(decode(encode_image(Image.new("RGB", (1, 1), BLUE), "PNG"), SETTINGS), SETTINGS).shape == (
        512,
        512,
        3,
    )
    strip = decode(encode_image(Image.new("RGB", (20_000, 1), RED), "PNG"), SETTINGS)
    for fit in ("cover", "stretch", "pad"):
        assert resize_to_square(strip, ImageSettings(fit=fit)).shape == (512, 512, 3)


SEEDS = [
    encode_image(sample_image(), "JPEG"),
    encode_image(sample_image().convert("CMYK"), "JPEG", progressive=True),
    encode_image(sample_image().convert("P"), "PNG", transparency=3),
    encode_image(sample_image().convert("RGBA"), "PNG", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00"),
    encode_image(sample_image(), "GIF", save_all=True, append_images=[sample_image().rotate(180)]),
    encode_image(sample_image(), "WEBP"),
    encode_image(sample_image(), "BMP"),
    encode_image(sample_image(), "TIFF", compression="tiff_lzw"),
    encode_image(sample_image(), "TIFF", compression="jpeg"),
]


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_mutated_files_give_an_image_or_a_reason(seed: int) -> None:
    random = np.random.default_rng(seed)
    settings = ImageSettings(max_pixels=1_000_000)
    outcomes = set()
    for _ in range(100):
        data = bytearray(SEEDS[seed])
        for _ in range(random.integers(1, 8)):
            position = int(random.integers(0, len(data) if random.random() < 0.5 else min(len(data), 64)))
            match random.integers(0, 4):
                case 0:
                    data[position] = int(random.integers(0, 256))
                case 1:
                    del data[position : position + int(random.integers(1, 20))]
                case 2:
                    data[position:position] = random.bytes(int(random.integers(1, 20)))
                case _:
                    data[position : position + 4] = random.choice(
                        [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"]
                    )
            data = data or bytearray(b"\xff")
        try:
            image = decode(bytes(data), settings)
        except ImageError as error:
            outcomes.add(error.reason)
        else:
            outcomes.add("ok")
            assert image.mode == "RGB"
            assert resize_to_square(image, ImageSettings(size=16)).shape == (16, 16, 3)
    assert len(outcomes) > 1
    allowed = {"ok", "not_an_image", "truncated", "corrupt", "too_many_pixels", "too_long", "too_many_parts"}
    assert outcomes <= allowed


@given(st.binary(max_size=300))
def test_arbitrary_bytes_give_a_reason(data: bytes) -> None:
    assert failure_reason(data) in {"empty", "not_an_image", "corrupt", "truncated", "too_many_pixels", "too_long"}


def test_at_least_bounds_the_reduced_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode_image(sample_image(1600, 1200).transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)
    small = decode(data, SETTINGS, at_least=300)
    assert small.size == (400, 300)
    assert decode(data, SETTINGS, at_least=301).size == (800, 600)
    assert decode(data, SETTINGS, at_least=5000).size == (1600, 1200)
    assert is_close(corner_pixels(small), [RED, GREEN, BLUE, WHITE])
    settings = ImageSettings(size=64)
    difference = np.abs(
        resize_to_square(small, settings).astype(int) - resize_to_square(decode(data, SETTINGS), settings)
    )
    assert difference.mean() < 1.5
