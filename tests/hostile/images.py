"""Hostile and unusual image files, each with the expected status of a post with it."""

import io
import json
import pickle
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

from tests.hostile.image_bytes import (
    black,
    bmp,
    canvas,
    chunk,
    gif,
    gray,
    numbered_image,
    png,
    riff,
    save_as,
    segment,
    tiff,
)

__all__ = ["IMAGES", "MARKER", "NOISE", "PHOTO", "good_image"]

Case = tuple[bytes, str]

MARKER = b"amia-hostile-armed"
"""Content of files that some program would run. Tests search the output for it."""


def bad(reason: str) -> str:
    return f"bad_image({reason})"


def good_image(number: int) -> bytes:
    """Return an image that differs for every number."""
    return save_as(numbered_image(number), "PNG")


PHOTO = numbered_image(3)
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
JPEG, PROGRESSIVE = save_as(PHOTO, "JPEG"), save_as(PHOTO, "JPEG", progressive=True)
FRAMES = {"save_all": True, "append_images": [numbered_image(4), numbered_image(5)], "duration": 50}


def _zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("__main__.py", f"print({MARKER!r})")
    return packed.getvalue()


def _with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """Return a JPEG with another size in its header."""
    at = next(jpeg.index(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in jpeg) + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def _exif(*tags: tuple[int, int, int, bytes], tail: bytes = b"") -> bytes:
    entries = b"".join(struct.pack(">HHL", tag, kind, count) + value for tag, kind, count, value in tags)
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", len(tags)) + entries + bytes(4) + tail


def _rotated() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _valid_images() -> dict[str, Case]:
    """Return unusual files that are valid images."""
    floats = Image.fromarray(np.linspace(-1, 1, 256, dtype=np.float32).reshape(16, 16))
    clear = Image.new("RGBA", (20, 20), (9, 9, 9, 0))
    empty_scan = segment(0xDA, b"\x01\x01\x00\x01\x05\x00")
    files = {
        "cmyk": save_as(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"),
        "16-bit": save_as(Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 257), "PNG"),
        "palette-alpha": save_as(clear.convert("P"), "PNG", transparency=0),
        "float": save_as(floats, "TIFF"),
        "exif-rotation": save_as(PHOTO, "JPEG", exif=_rotated()),
        "exif-broken": save_as(PHOTO, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"),
        "exif-loop": save_as(PHOTO, "JPEG", exif=_exif((0x8769, 4, 1, b"\0\0\0\x08"))),
        "exif-huge": save_as(PHOTO, "JPEG", exif=_exif((0x011A, 5, 8_000, b"\0\0\0\x1a"), tail=bytes(64_000))),
        "exif-count": save_as(PHOTO, "PNG", exif=_exif((0x0112, 3, 2**32 - 1, b"\0\0\0\x08"))),
        "icc-junk": save_as(PHOTO, "JPEG", icc_profile=b"junk" * 5_000),
        "xmp-junk": JPEG[:2] + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta" * 9) + JPEG[2:],
        "photoshop-junk": JPEG[:2] + segment(0xED, b"Photoshop 3.0\x008BIM" + b"\xff" * 90) + JPEG[2:],
        "animated-gif": save_as(PHOTO, "GIF", **FRAMES),
        "animated-webp": save_as(PHOTO, "WEBP", **FRAMES),
        "animated-png": save_as(PHOTO, "PNG", **FRAMES),
        "two-images": save_as(PHOTO, "MPO", save_all=True, append_images=[numbered_image(4)]),
        "one-pixel": save_as(Image.new("RGB", (1, 1)), "PNG"),
        "20000x1": save_as(Image.new("RGB", (20_000, 1)), "PNG"),
        "1x20000": save_as(Image.new("RGB", (1, 20_000)), "PNG"),
        "a-tiff": save_as(PHOTO, "TIFF", compression="tiff_lzw"),
        "tiff-tags-in-a-circle": tiff(gray(10, 10) | {273: (4, [8]), 278: (3, [10])}, bytes(100))[:-4] + bytes(4),
        "tiff-next-is-itself": _tiff_in_a_circle(),
        "a-bmp": bmp(64, 64, 8, 1, b"\x40\x07\0\0" * 64 + b"\0\1"),
        "zip-behind-jpeg": JPEG + _zipped(),
        "html-behind-gif": save_as(PHOTO, "GIF") + b"<script>" + MARKER + b"</script>",
        "nul-behind-png": save_as(PHOTO, "PNG") + bytes(5_000),
        "comment-in-jpeg": save_as(PHOTO, "JPEG", comment=b"<?php " + MARKER + b" ?>\0\0"),
        "scans-fifty": PROGRESSIVE[:-2] + empty_scan * 50 + b"\xff\xd9",
        "restarts": JPEG[:-2] + b"\xff\xd0\xff\xd7" * 50_000 + b"\xff\xd9",
        "marker-padding": JPEG[:2] + b"\xff" * 20_000 + JPEG[2:],
        "text-bomb": png(8, 8, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10**6)))),
        "webp-frames": riff(canvas(1, 1, 2), (b"ANIM", bytes(6)), *[_webp_frame()] * 20_000),
        "49-megapixels": png(7_000, 7_000, pixels=black(7_000, 7_000)),
    }
    return {name: (data, "ok") for name, data in files.items()}


def _tiff_in_a_circle() -> bytes:
    data = tiff(gray(10, 10) | {273: (4, [8]), 278: (3, [10])}, bytes(100))
    after = 10 + 12 * 8
    return data[:after] + struct.pack("<L", 8) + data[after + 4 :]


def _webp_frame() -> tuple[bytes, bytes]:
    one = save_as(Image.new("RGB", (1, 1)), "WEBP", lossless=True)[12:]
    return b"ANMF", bytes(12) + b"\x64\0\0\0" + one


def _not_images() -> dict[str, Case]:
    """Return responses of dead links, and files that other programs would open."""
    files = {
        "html": b"<!DOCTYPE html><html><head><title>404</title></head><body>Not Found</body></html>",
        "json": json.dumps({"error": "gone"}).encode(),
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="' + MARKER + b'"/>',
        "xml-entities": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(" + MARKER + b") (w) file\nshowpage\n",
        "dos-eps": b"\xc5\xd0\xd3\xc6\x1e\0\0\0" + bytes(22) + b"%!PS-Adobe-3.0 EPSF-3.0\n",
        "pdf": b"%PDF-1.4\n1 0 obj<</OpenAction<</S/Launch/F(" + MARKER + b")>>>>endobj",
        "pickle": pickle.dumps(["a pickle"]),
        "elf": b"\x7fELF\x02\x01\x01" + bytes(57),
        "shell": b"#!/bin/sh\ntouch " + MARKER,
        "zip": _zipped(),
        "gzip-of-jpeg": b"\x1f\x8b\x08" + JPEG,
        "only-nul": bytes(4_096),
        "space-before-jpeg": b"\n" + JPEG,
        "heic": b"\0\0\0\x18ftypheic" + bytes(40),
        "jpeg-2000": save_as(PHOTO, "JPEG2000"),
        "avif": save_as(PHOTO, "AVIF"),
        "ppm": b"P6 99999 99999 255 ",
        "xbm": b"#define a_width 9\n#define a_height 9\nstatic char a_bits[] = {0};",
        "ico": save_as(PHOTO, "ICO"),
        "fits": b"SIMPLE  =                    T",
        "big-tiff": b"II+\0\x08\0\0\0" + bytes(100),
        "two-bytes": b"\xff\xd8",
    }
    return {name: (data, bad("not_an_image")) for name, data in files.items()} | {"empty": (b"", bad("empty"))}


def _truncated() -> dict[str, Case]:
    """Return files that end too early."""
    complete = {kind: save_as(NOISE, kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")}
    cases = {f"half-{kind.lower()}": (data[: len(data) // 2], bad("truncated")) for kind, data in complete.items()}
    cases["half-webp"] = complete["WEBP"][: len(complete["WEBP"]) // 2], bad("corrupt")  # chunks are read first
    for kind, length in {"JPEG": 30, "PNG": 20, "GIF": 9, "WEBP": 20, "TIFF": 9, "BMP": 16}.items():
        cases[f"head-of-{kind.lower()}"] = complete[kind][:length], bad("corrupt")
    return cases


def _damaged() -> dict[str, Case]:
    """Return files with contradictions."""
    nan = np.full((8, 8), np.nan, np.float32)
    files = {
        "png-checksum": png(8, 8).replace(b"IHDR\0\0", b"IHDR\0\1"),
        "png-pixels-junk": png(8, 8, pixels=b"junk" * 99),
        "png-no-pixels": b"\x89PNG\r\n\x1a\n" + png(8, 8)[8:33] + chunk(b"IEND"),
        "png-chunk-lie": png(8, 8)[:33] + b"\xff\xff\xff\xf0tEXt" + bytes(99),
        "png-texts-bomb": png(8, 8, *[chunk(b"zTXt", b"%d\0\0" % n + zlib.compress(bytes(10**6))) for n in range(80)]),
        "png-profile-bomb": png(8, 8, chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(10**7)))),
        "png-no-size": png(0, 0),
        "webp-length-lie": riff(canvas(8, 8), (b"VP8L", b"\x2f" + b"\xff" * 40), length=2**32 - 1),
        "webp-chunk-lie": riff(canvas(8, 8))[:12] + b"VP8 " + b"\xff\xff\xff\x7f" + bytes(40),
        "webp-no-webp": b"RIFF\x24\0\0\0WAVEfmt " + bytes(40),
        "gif-no-frame": gif(8, 8)[:13] + b";",
        "tiff-no-size": tiff({259: (3, [1])}),
        "tiff-tags-beyond": b"II*\0\xff\xff\xff\x7f" + bytes(40),
        "tiff-nan": save_as(Image.fromarray(nan), "TIFF"),
        "tiff-compression": tiff(gray(8, 8, 65_000) | {273: (4, [8]), 278: (3, [8]), 279: (4, [64])}, bytes(64)),
        "bmp-bits": bmp(8, 8, 77, 0, bytes(64)),
        "jpeg-no-tables": JPEG[:2] + segment(0xC0, JPEG[JPEG.index(b"\xff\xc0") + 4 :][:15]) + b"\xff\xd9",
        "jpeg-precision": JPEG.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x63"),
    }
    return {name: (data, bad("corrupt")) for name, data in files.items()}


def _bombs() -> dict[str, Case]:
    """Return files that would take all memory, or hours."""
    strips = gray(100, 1_000, 8) | {278: (3, [1])}
    size = len(tiff(strips | {273: (4, [0] * 1_000), 279: (4, [0] * 1_000)}))
    blocks = zlib.compress(bytes(100)) + b"\0\0\0\xff\xff" * 50_000
    scan = segment(0xDA, b"\x01\x01\x00\x01\x05\x00")
    tile = zlib.compress(bytes(10**6))
    tiles = {322: (4, [16_384]), 323: (4, [16_384]), 324: (4, [8]), 325: (4, [len(tile)])}
    pixels = {
        "png-50000x50000": png(50_000, 50_000),
        "png-2-billion": png(2**31 - 1, 2**31 - 1),
        "gif-65535x65535": gif(65_535, 65_535),
        "gif-frame-beyond": gif(10, 10, frame=(30_000, 5_000)),
        "jpeg-65000x65000": _with_size(JPEG, 65_000, 65_000),
        "webp-16384x16384": riff(canvas(16_384, 16_384), (b"VP8L", b"\x2f\xff\xff\xff\x0f" + bytes(40))),
        "bmp-2-billion": bmp(2**31 - 1, 2**31 - 1, 8, 0, bytes(9)),
        "tiff-2-billion": tiff(gray(2**31, 2**31) | {273: (4, [8]), 278: (3, [1])}),
        "tiff-tile": tiff(gray(16, 16, 8) | tiles, tile),
    }
    parts = {
        "jpeg-thousand-scans": PROGRESSIVE[:-2] + scan * 1_000 + b"\xff\xd9",
        "jpeg-million-segments": JPEG[:2] + segment(0xFE) * 1_000_000 + JPEG[2:],
        "jpeg-exif-quadratic": JPEG[:2] + segment(0xE1, b"Exif\0\0x") * 300_000 + JPEG[2:],
        "png-million-chunks": png(8, 8, chunk(b"tEXt", b"a\0b") * 500_000),
        "png-profiles": png(8, 8, chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(10**6), 9)) * 5_000),
        "gif-million-blocks": gif(8, 8, b"!\xfe" + b"\1a" * 1_000_000 + b"\0"),
        "tiff-million-strips": tiff(gray(100, 100) | {273: (4, [8] * 1_000_000), 278: (3, [1])}),
        "tiff-rationals": tiff(gray(9, 9) | {273: (4, [8]), 278: (3, [9]), 282: (5, [1 << 32 | 1] * 500_000)}),
        "tiff-overlap": tiff(strips | {273: (4, [size] * 1_000), 279: (4, [len(blocks)] * 1_000)}, blocks),
    }
    return {
        **{name: (data, bad("too_many_pixels")) for name, data in pixels.items()},
        **{name: (data, bad("too_many_parts")) for name, data in parts.items()},
        "png-21000x1": (png(21_000, 1), bad("too_long")),
        "21-megabytes": (JPEG + bytes(21_000_000), bad("too_large")),
    }


IMAGES: dict[str, Case] = {**_valid_images(), **_not_images(), **_truncated(), **_damaged(), **_bombs()}
"""Name -> bytes of the file, and the image status of a post with it."""
