"""Builders of image files, byte by byte, so that headers can contradict their content."""

import io
import struct
import zlib

from PIL import Image


def save_as(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.copy().save(buffer, kind, **options)
    return buffer.getvalue()


def numbered_image(number: int = 0, side: int = 48) -> Image.Image:
    """Return an image that differs for every number."""
    image = Image.new("RGB", (side, side), (40 * number % 256, 90 * number % 256, 200))
    image.paste((255, 30 * number % 256, 0), (number % 16, 8, 16 + number % 16, side - 8))
    return image


def segment(marker: int, body: bytes = b"") -> bytes:
    """Return a segment of a JPEG."""
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def chunk(name: bytes, body: bytes = b"") -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *between: bytes, pixels: bytes | None = None, bits: int = 8, kind: int = 2) -> bytes:
    """Return a PNG with any size in its header; the default `pixels` are a few zeros."""
    packed = zlib.compress(bytes(1_000)) if pixels is None else pixels
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *between, chunk(b"IDAT", packed), chunk(b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def black(width: int, height: int) -> bytes:
    """Return the compressed pixels of a black RGB image."""
    return zlib.compress(bytes((1 + 3 * width) * height), 9)


_TEN_BY_TEN = bytes.fromhex("08120001081c48b0a0c18308132a5cc8b061c2800000")


def gif(width: int, height: int, *between: bytes, frame: tuple[int, int] | None = None) -> bytes:
    """Return a GIF with any size of its screen and frame; the frame holds 10 by 10 pixels."""
    screen = b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0"
    image = b"," + struct.pack("<HHHHB", 0, 0, *(frame or (width, height)), 0) + _TEN_BY_TEN
    return screen + b"".join(between) + image + b";"


def riff(*chunks: tuple[bytes, bytes], length: int | None = None) -> bytes:
    """Return a WebP with these chunks."""
    body = b"WEBP" + b"".join(
        name + struct.pack("<L", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<L", len(body) if length is None else length) + body


def canvas(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    """Return the chunk of a WebP with the size of the image."""
    return b"VP8X", bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def tiff(tags: dict[int, tuple[int, list[int]]], content: bytes = b"") -> bytes:
    """Return a TIFF with one directory of tags (number -> type, values), followed by longer values and content."""
    unit = {3: "H", 4: "L", 5: "Q"}
    end = 8 + 2 + 12 * len(tags) + 4
    entries, tail = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}{unit[kind]}", *values)
        if len(packed) > 4:
            packed, tail = struct.pack("<L", end + len(tail)), tail + packed
        entries += struct.pack("<HHL", tag, kind, len(values)) + packed.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<LH", 8, len(tags)) + entries + bytes(4) + tail + content


def gray(width: int, height: int, compression: int = 1) -> dict[int, tuple[int, list[int]]]:
    """Return the tags that every gray TIFF has."""
    values = {256: width, 257: height, 258: 8, 259: compression, 262: 1, 277: 1}
    return {tag: (4 if tag < 258 else 3, [value]) for tag, value in values.items()}


def bmp(width: int, height: int, bits: int, compression: int, data: bytes) -> bytes:
    """Return a BMP with a palette of 256 grays."""
    start = 14 + 40 + 4 * 256
    header = struct.pack("<LllHHLLllLL", 40, width, height, 1, bits, compression, len(data), 0, 0, 256, 0)
    palette = b"".join(bytes([gray, gray, gray, 0]) for gray in range(256))
    return b"BM" + struct.pack("<LHHL", start + len(data), 0, 0, start) + header + palette + data
