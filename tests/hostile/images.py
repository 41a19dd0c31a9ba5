"""Image files as they must not be, each with the status that a post with it ends in."""

import io
import json
import pickle
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

from tests.hostile.pieces import black, bmp, canvas, chunk, drawn, gif, gray, png, riff, saved, segment, tiff

__all__ = ["ARMED", "IMAGES", "good_image"]

Case = tuple[bytes, str]

ARMED = b"amia-hostile-armed"
"""Stands in files that some program would run. It is enough to look for it in what comes out."""


def bad(reason: str) -> str:
    return f"bad_image({reason})"


def good_image(number: int) -> bytes:
    """An image like no other number's."""
    return saved(drawn(number), "PNG")


PHOTO = drawn(3)
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
JPEG, PROGRESSIVE = saved(PHOTO, "JPEG"), saved(PHOTO, "JPEG", progressive=True)
FRAMES = {"save_all": True, "append_images": [drawn(4), drawn(5)], "duration": 50}


def _zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("__main__.py", f"print({ARMED!r})")
    return packed.getvalue()


def _sized(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG whose header says another size than it holds."""
    at = next(jpeg.index(mark) for mark in (b"\xff\xc0", b"\xff\xc2") if mark in jpeg) + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def _exif(*tags: tuple[int, int, int, bytes], tail: bytes = b"") -> bytes:
    entries = b"".join(struct.pack(">HHL", tag, kind, count) + value for tag, kind, count, value in tags)
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", len(tags)) + entries + bytes(4) + tail


def _rotated() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _pictures() -> dict[str, Case]:
    """Odd, and images all the same."""
    floats = Image.fromarray(np.linspace(-1, 1, 256, dtype=np.float32).reshape(16, 16))
    clear = Image.new("RGBA", (20, 20), (9, 9, 9, 0))
    an_empty_scan = segment(0xDA, b"\x01\x01\x00\x01\x05\x00")
    files = {
        "cmyk": saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"),
        "16-bit": saved(Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 257), "PNG"),
        "palette-alpha": saved(clear.convert("P"), "PNG", transparency=0),
        "float": saved(floats, "TIFF"),
        "exif-rotation": saved(PHOTO, "JPEG", exif=_rotated()),
        "exif-broken": saved(PHOTO, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"),
        "exif-loop": saved(PHOTO, "JPEG", exif=_exif((0x8769, 4, 1, b"\0\0\0\x08"))),
        "exif-huge": saved(PHOTO, "JPEG", exif=_exif((0x011A, 5, 8_000, b"\0\0\0\x1a"), tail=bytes(64_000))),
        "exif-count": saved(PHOTO, "PNG", exif=_exif((0x0112, 3, 2**32 - 1, b"\0\0\0\x08"))),
        "icc-junk": saved(PHOTO, "JPEG", icc_profile=b"junk" * 5_000),
        "xmp-junk": JPEG[:2] + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta" * 9) + JPEG[2:],
        "photoshop-junk": JPEG[:2] + segment(0xED, b"Photoshop 3.0\x008BIM" + b"\xff" * 90) + JPEG[2:],
        "animated-gif": saved(PHOTO, "GIF", **FRAMES),
        "animated-webp": saved(PHOTO, "WEBP", **FRAMES),
        "animated-png": saved(PHOTO, "PNG", **FRAMES),
        "two-pictures": saved(PHOTO, "MPO", save_all=True, append_images=[drawn(4)]),
        "one-pixel": saved(Image.new("RGB", (1, 1)), "PNG"),
        "20000x1": saved(Image.new("RGB", (20_000, 1)), "PNG"),
        "1x20000": saved(Image.new("RGB", (1, 20_000)), "PNG"),
        "a-tiff": saved(PHOTO, "TIFF", compression="tiff_lzw"),
        "tiff-tags-in-a-circle": tiff(gray(10, 10) | {273: (4, [8]), 278: (3, [10])}, bytes(100))[:-4] + bytes(4),
        "tiff-next-is-itself": _tiff_in_a_circle(),
        "a-bmp": bmp(64, 64, 8, 1, b"\x40\x07\0\0" * 64 + b"\0\1"),
        "zip-behind-jpeg": JPEG + _zipped(),
        "html-behind-gif": saved(PHOTO, "GIF") + b"<script>" + ARMED + b"</script>",
        "nul-behind-png": saved(PHOTO, "PNG") + bytes(5_000),
        "comment-in-jpeg": saved(PHOTO, "JPEG", comment=b"<?php " + ARMED + b" ?>\0\0"),
        "scans-fifty": PROGRESSIVE[:-2] + an_empty_scan * 50 + b"\xff\xd9",
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
    one = saved(Image.new("RGB", (1, 1)), "WEBP", lossless=True)[12:]
    return b"ANMF", bytes(12) + b"\x64\0\0\0" + one


def _not_images() -> dict[str, Case]:
    """Whatever a link that died leaves behind, and files that other programs would open."""
    files = {
        "html": b"<!DOCTYPE html><html><head><title>404</title></head><body>Not Found</body></html>",
        "json": json.dumps({"error": "gone"}).encode(),
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="' + ARMED + b'"/>',
        "xml-entities": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(" + ARMED + b") (w) file\nshowpage\n",
        "dos-eps": b"\xc5\xd0\xd3\xc6\x1e\0\0\0" + bytes(22) + b"%!PS-Adobe-3.0 EPSF-3.0\n",
        "pdf": b"%PDF-1.4\n1 0 obj<</OpenAction<</S/Launch/F(" + ARMED + b")>>>>endobj",
        "pickle": pickle.dumps(["a pickle"]),
        "elf": b"\x7fELF\x02\x01\x01" + bytes(57),
        "shell": b"#!/bin/sh\ntouch " + ARMED,
        "zip": _zipped(),
        "gzip-of-jpeg": b"\x1f\x8b\x08" + JPEG,
        "only-nul": bytes(4_096),
        "space-before-jpeg": b"\n" + JPEG,
        "heic": b"\0\0\0\x18ftypheic" + bytes(40),
        "jpeg-2000": saved(PHOTO, "JPEG2000"),
        "avif": saved(PHOTO, "AVIF"),
        "ppm": b"P6 99999 99999 255 ",
        "xbm": b"#define a_width 9\n#define a_height 9\nstatic char a_bits[] = {0};",
        "ico": saved(PHOTO, "ICO"),
        "fits": b"SIMPLE  =                    T",
        "big-tiff": b"II+\0\x08\0\0\0" + bytes(100),
        "two-bytes": b"\xff\xd8",
    }
    return {name: (data, bad("not_an_image")) for name, data in files.items()} | {"empty": (b"", bad("empty"))}


def _cut() -> dict[str, Case]:
    """Files that end too early."""
    whole = {kind: saved(NOISE, kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")}
    cases = {f"half-{kind.lower()}": (data[: len(data) // 2], bad("truncated")) for kind, data in whole.items()}
    cases["half-webp"] = whole["WEBP"][: len(whole["WEBP"]) // 2], bad("corrupt")  # its parts are found before pixels
    for kind, length in {"JPEG": 30, "PNG": 20, "GIF": 9, "WEBP": 20, "TIFF": 9, "BMP": 16}.items():
        cases[f"head-of-{kind.lower()}"] = whole[kind][:length], bad("corrupt")
    return cases


def _damaged() -> dict[str, Case]:
    """Files that contradict themselves."""
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
        "tiff-nan": saved(Image.fromarray(nan), "TIFF"),
        "tiff-compression": tiff(gray(8, 8, 65_000) | {273: (4, [8]), 278: (3, [8]), 279: (4, [64])}, bytes(64)),
        "bmp-bits": bmp(8, 8, 77, 0, bytes(64)),
        "jpeg-no-tables": JPEG[:2] + segment(0xC0, JPEG[JPEG.index(b"\xff\xc0") + 4 :][:15]) + b"\xff\xd9",
        "jpeg-precision": JPEG.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x63"),
    }
    return {name: (data, bad("corrupt")) for name, data in files.items()}


def _bombs() -> dict[str, Case]:
    """Files that would take all memory, or all day."""
    strips = gray(100, 1_000, 8) | {278: (3, [1])}
    size = len(tiff(strips | {273: (4, [0] * 1_000), 279: (4, [0] * 1_000)}))
    blocks = zlib.compress(bytes(100)) + b"\0\0\0\xff\xff" * 50_000
    a_scan = segment(0xDA, b"\x01\x01\x00\x01\x05\x00")
    tile = zlib.compress(bytes(10**6))
    tiles = {322: (4, [16_384]), 323: (4, [16_384]), 324: (4, [8]), 325: (4, [len(tile)])}
    pixels = {
        "png-50000x50000": png(50_000, 50_000),
        "png-2-billion": png(2**31 - 1, 2**31 - 1),
        "gif-65535x65535": gif(65_535, 65_535),
        "gif-frame-beyond": gif(10, 10, frame=(30_000, 5_000)),
        "jpeg-65000x65000": _sized(JPEG, 65_000, 65_000),
        "webp-16384x16384": riff(canvas(16_384, 16_384), (b"VP8L", b"\x2f\xff\xff\xff\x0f" + bytes(40))),
        "bmp-2-billion": bmp(2**31 - 1, 2**31 - 1, 8, 0, bytes(9)),
        "tiff-2-billion": tiff(gray(2**31, 2**31) | {273: (4, [8]), 278: (3, [1])}),
        "tiff-tile": tiff(gray(16, 16, 8) | tiles, tile),
    }
    parts = {
        "jpeg-thousand-scans": PROGRESSIVE[:-2] + a_scan * 1_000 + b"\xff\xd9",
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


IMAGES: dict[str, Case] = {**_pictures(), **_not_images(), **_cut(), **_damaged(), **_bombs()}
"""Name -> the file's bytes, and the image status of a post that has it."""
