"""Files of a few megabytes that would keep a decoder busy for minutes are refused; ordinary files pass."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from amia.errors import ImageError
from amia.images import ImageSettings, decode
from amia.images.structure_limits import MAX_BLOCKS, MAX_CHUNKS, MAX_EXIF_SEGMENTS, MAX_SCANS, MAX_SEGMENTS, MAX_VALUES
from tests.helpers.sample_images import encode_image, sample_image

SETTINGS = ImageSettings()


def outcome(data: bytes) -> str:
    try:
        decode(data, SETTINGS)
    except ImageError as error:
        return error.reason
    return "ok"


def segment(marker: int, body: bytes = b"") -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def chunk(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def insert(data: bytes, at: int, inserted: bytes) -> bytes:
    return data[:at] + inserted + data[at:]


JPEG = encode_image(sample_image(), "JPEG")
PROGRESSIVE = encode_image(sample_image(), "JPEG", progressive=True)
PNG = encode_image(sample_image(), "PNG")
GIF = encode_image(sample_image(), "GIF")
EMPTY_SCAN = segment(0xDA, b"\x01\x01\x00\x01\x05\x00")
"""Scan that refines nothing: the shortest pass over a complete image."""


@pytest.mark.parametrize(
    ("count", "expected"), [(MAX_SCANS - PROGRESSIVE.count(b"\xff\xda"), "ok"), (MAX_SCANS, "too_many_parts")]
)
def test_scans_of_a_progressive_jpeg(count: int, expected: str) -> None:
    assert outcome(insert(PROGRESSIVE, len(PROGRESSIVE) - 2, EMPTY_SCAN * count)) == expected


def test_scans_with_padded_markers() -> None:
    assert (
        outcome(insert(PROGRESSIVE, len(PROGRESSIVE) - 2, (b"\xff" * 7 + EMPTY_SCAN) * MAX_SCANS)) == "too_many_parts"
    )


def test_data_after_a_baseline_jpeg_is_ignored() -> None:
    # Motion photos of phones have a video after the photograph, in which any two bytes occur.
    assert outcome(JPEG + EMPTY_SCAN * 5_000) == "ok"


def test_separate_scans_of_a_sequential_jpeg() -> None:
    # Each scan holds one of three components, repeatedly, and libjpeg decodes all of them.
    at = JPEG.index(b"\xff\xda")
    one = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00")
    assert outcome(JPEG[:at] + one * (MAX_SCANS + 1) + b"\xff\xd9") == "too_many_parts"


@pytest.mark.parametrize("marker", [0xFE, 0xE3, 0xDB])
def test_segments_of_a_jpeg(marker: int) -> None:
    body = JPEG[JPEG.index(b"\xff\xdb") + 4 :][:65] if marker == 0xDB else b""
    assert outcome(insert(JPEG, 2, segment(marker, body) * (MAX_SEGMENTS - 20))) == "ok"
    assert outcome(insert(JPEG, 2, segment(marker, body) * MAX_SEGMENTS)) == "too_many_parts"


def test_exif_segments_of_a_jpeg() -> None:
    # Pillow joins them in quadratic time.
    assert outcome(insert(JPEG, 2, segment(0xE1, b"Exif\0\0x") * (MAX_EXIF_SEGMENTS + 1))) == "too_many_parts"


def test_restart_markers_are_not_segments() -> None:
    assert outcome(insert(JPEG, len(JPEG) - 2, b"\xff\xd0" * 100_000)) == "ok"


@pytest.mark.parametrize("name", [b"tEXt", b"abCd"])
@pytest.mark.parametrize("position", ["before", "after"])
def test_chunks_of_a_png(name: bytes, position: str) -> None:
    at = PNG.index(b"IDAT" if position == "before" else b"IEND") - 4
    assert outcome(insert(PNG, at, chunk(name, b"a\0b") * 4_000)) == "ok"
    assert outcome(insert(PNG, at, chunk(name, b"a\0b") * 4_096)) == "too_many_parts"


def test_pixel_chunks_of_a_png() -> None:
    at = PNG.index(b"IDAT") - 4
    assert outcome(insert(PNG, at, chunk(b"IDAT") * 20_000)) == "ok"
    assert outcome(insert(PNG, at, chunk(b"IDAT") * MAX_CHUNKS)) == "too_many_parts"


def test_color_profiles_of_a_png() -> None:
    bomb = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1_000_000), 9))
    assert outcome(insert(PNG, 33, bomb)) == "ok"
    assert outcome(insert(PNG, 33, bomb * 9)) == "too_many_parts"


@pytest.mark.parametrize("block", [b"!\xfe\x01a\0", b"!\x01\0", b"x"])
def test_blocks_before_the_first_frame_of_a_gif(block: bytes) -> None:
    at = GIF.index(b",", 19)
    assert outcome(insert(GIF, at, b"!\xfe" + b"\x50" * 81 * 3_000 + b"\0")) == "ok"  # a long comment
    assert outcome(insert(GIF, at, block * (MAX_BLOCKS + 1))) == "too_many_parts"


def tiff(tags: dict[int, tuple[int, list[int]]], content: bytes, *, order: str = "<") -> bytes:
    """Return a TIFF with one directory of tags (number -> type, values), followed by longer values and content."""
    unit = {3: "H", 4: "L", 5: "Q"}
    end = 8 + 2 + 12 * len(tags) + 4
    entries, tail = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{unit[kind]}", *values)
        if len(packed) > 4:
            packed, tail = struct.pack(f"{order}L", end + len(tail)), tail + packed
        entries += struct.pack(f"{order}HHL", tag, kind, len(values)) + packed.ljust(4, b"\0")
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}LH", 8, len(tags))
    return start + entries + bytes(4) + tail + content


def gray(width: int, height: int, compression: int) -> dict[int, tuple[int, list[int]]]:
    values = {256: width, 257: height, 258: 8, 259: compression, 262: 1, 277: 1}
    return {tag: (4 if tag < 258 else 3, [value]) for tag, value in values.items()}


@pytest.mark.parametrize("order", ["<", ">"])
def test_strips_and_values_of_a_tiff(order: str) -> None:
    for count, expected in ((20_000, "ok"), (MAX_VALUES + 1, "too_many_parts")):
        strips = gray(10, 10, 1) | {273: (4, [8] * count), 278: (3, [1])}
        assert outcome(tiff(strips, b"", order=order)) == expected
        rational = gray(10, 10, 1) | {273: (4, [8]), 278: (3, [10]), 282: (5, [1 << 32 | 1] * count)}
        assert outcome(tiff(rational, b"", order=order)) == expected


def test_values_in_the_exif_of_a_tiff() -> None:
    inner = struct.pack("<HHHLL", 1, 282, 5, MAX_VALUES + 1, 0) + bytes(4)
    leading = gray(10, 10, 1) | {273: (4, [8]), 278: (3, [10])}
    at = len(tiff(leading | {34665: (4, [0])}, b""))
    assert outcome(tiff(leading | {34665: (4, [at])}, inner)) == "too_many_parts"


def test_circular_directories_of_a_tiff() -> None:
    assert outcome(tiff(gray(10, 10, 1) | {273: (4, [8]), 278: (3, [10]), 34665: (4, [8])}, bytes(100))) == "ok"


def test_overlapping_strips_of_a_tiff() -> None:
    row = zlib.compress(b"a" * 100)
    for count, expected in ((1, "ok"), (50, "too_many_parts")):
        tags = gray(100, count, 8) | {278: (3, [1])}
        size = len(tiff(tags | {273: (4, [0] * count), 279: (4, [0] * count)}, b""))
        strips = {273: (4, [size] * count), 279: (4, [2_000] * count)}
        assert outcome(tiff(tags | strips, row + bytes(2_000))) == expected


def test_oversized_tile_of_a_tiff() -> None:
    tags = gray(16, 16, 8) | {322: (4, [16_384]), 323: (4, [16_384]), 324: (4, [8]), 325: (4, [8])}
    assert outcome(tiff(tags, b"")) == "too_many_pixels"


def test_files_of_real_writers_pass() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (500, 700, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x010E] = "x" * 60_000
    frames = {"save_all": True, "append_images": [noise.rotate(degrees) for degrees in (90, 180)]}
    for kind, options in (
        ("JPEG", {"progressive": True, "exif": exif, "icc_profile": bytes(600_000), "comment": b"c" * 60_000}),
        ("MPO", frames),
        ("PNG", {"icc_profile": bytes(600_000), **frames}),
        ("GIF", {"comment": b"c" * 60_000, **frames}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "jpeg"}),
    ):
        data = encode_image(noise.copy(), kind, **options)  # Pillow keeps options of the previous save in the image
        with Image.open(io.BytesIO(data)) as image:
            assert decode(data, SETTINGS).size == image.size
