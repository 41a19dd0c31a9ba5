"""How many parts an image file is made of, counted before Pillow reads it.

Pixels are bounded by the header, and a file by its bytes; what stands around the pixels is bounded by neither. Twenty
megabytes hold a million scans of a progressive JPEG, each of which is a pass over the whole image, or as many
segments, chunks and strips, each of which becomes a few objects. Honest files hold a few dozen.
"""

import re
import struct
from collections import Counter

from amia.errors import ImageError

__all__ = ["check_structure"]

MAX_SCANS = 100
"""Of a progressive JPEG, which has about ten. libtiff draws its line here, too."""
MAX_SEGMENTS = 1_024
"""Of a JPEG. A color profile takes up to 255, and 20 MB of metadata fill 306."""
MAX_EXIF_BYTES = 64
"""Segments of EXIF, which Pillow joins one by one; all but a few cameras write one."""
MAX_CHUNKS = 65_536
"""Of a PNG, its pixels' included: a chunk of pixels is 8 KB as a rule."""
MAX_CHUNKS_OF = {b"iCCP": 8, b"": 4_096}
"""Of those with this name (each color profile may unpack to a megabyte), and of all that hold no pixels."""
MAX_BLOCKS = 65_536
"""Of 255 bytes, before the first frame of a GIF."""
MAX_VALUES = 250_000
"""Of a TIFF's tags that are no strings: a strip a line and channel is 80,000, twice, of the longest side allowed."""

_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
"""But for those that stand alone: restarts, of which there may be millions, and the beginning of a file."""
_SCAN, _END, _EXIF = 0xDA, 0xD9, 0xE1
_SEQUENTIAL = (0xC0, 0xC1)
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}

_UNITS = {3: "H", 4: "L", 5: "Q", 8: "H", 9: "L", 10: "Q", 11: "L", 12: "Q", 13: "L", 16: "Q"}
"""TIFF's types that are no strings of bytes, as `struct` spells their sizes."""
_COMPRESSION, _STRIP_BYTES, _TILE_WIDTH, _TILE_LENGTH, _TILE_BYTES = 259, 279, 322, 323, 325
_FOLDERS = {34665, 34853, 40965}
"""TIFF's tags that lead to further tags: EXIF, GPS, interoperability."""
_READ = {_COMPRESSION, _STRIP_BYTES, _TILE_WIDTH, _TILE_LENGTH, _TILE_BYTES} | _FOLDERS


def check_structure(data: bytes, kind: str, max_pixels: int) -> None:
    """Raises ImageError (`too_many_parts`, or `too_many_pixels` for a tile of a TIFF) where reading might not end.

    `kind` is Pillow's name of the format. A file that makes no sense passes: Pillow will say so.
    """
    match kind:
        case "JPEG":
            _check_jpeg(data)
        case "PNG":
            _check_png(data)
        case "GIF":
            _check_gif(data)
        case "TIFF":
            _check_tiff(data, max_pixels)


def _at_most(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise ImageError("too_many_parts", f"more than {limit} {what}")


def _check_jpeg(data: bytes) -> None:
    segments = scans = exif = components = 0
    sequential = False
    position = 2
    while (found := _MARKER.search(data, position)) is not None:
        marker, position = data[found.end() - 1], found.end()
        if marker == _END:
            if scans:
                return
            continue
        segments += 1
        if marker in _FRAMES:
            sequential = marker in _SEQUENTIAL
            components = data[position + 7] if position + 7 < len(data) else 0
        if marker == _SCAN:
            scans += 1
            if sequential and data[position + 2 : position + 3] == bytes([components]):
                return  # this scan is the whole image: what follows is not read
        if marker == _EXIF:
            exif += data[position + 2 : position + 6] == b"Exif"
        _at_most(segments, MAX_SEGMENTS, "segments")
        _at_most(scans, MAX_SCANS, "scans")
        _at_most(exif, MAX_EXIF_BYTES, "segments of EXIF")
        position += max(2, int.from_bytes(data[position : position + 2]))


def _check_png(data: bytes) -> None:
    counts = Counter[bytes]()
    position = 8
    while position + 8 <= len(data):
        name = data[position + 4 : position + 8]
        counts[name] += 1
        if name not in (b"IDAT", b"fdAT"):
            counts[b""] += 1
        counts[b"all"] += 1
        _at_most(counts[b"all"], MAX_CHUNKS, "chunks")
        for each, limit in MAX_CHUNKS_OF.items():
            _at_most(counts[each], limit, f"chunks {each.decode()}" if each else "chunks without pixels")
        if name == b"IEND":
            return
        position += 12 + int.from_bytes(data[position : position + 4])


def _check_gif(data: bytes) -> None:
    flags = data[10] if len(data) > 10 else 0
    position = 13 + (6 << (flags & 7) if flags & 0x80 else 0)
    blocks = 0
    while position < len(data) and data[position] not in b",;":
        blocks += 1
        _at_most(blocks, MAX_BLOCKS, "blocks before the first frame")
        if data[position] != 0x21:  # no extension: Pillow looks further byte by byte
            position += 1
            continue
        position += 2
        while position < len(data) and data[position]:
            blocks += 1
            _at_most(blocks, MAX_BLOCKS, "blocks before the first frame")
            position += 1 + data[position]
        position += 1


def _check_tiff(data: bytes, max_pixels: int, at: int | None = None, depth: int = 0) -> None:
    """One list of tags, and those that it leads to."""
    order = "<" if data.startswith(b"II") else ">"
    try:
        if at is None:
            (at,) = struct.unpack_from(f"{order}L", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        tags = [struct.unpack_from(f"{order}HHL4s", data, at + 2 + 12 * place) for place in range(count)]
    except struct.error:
        return
    _at_most(sum(count for _, kind, count, _ in tags if kind in _UNITS), MAX_VALUES, "values of tags")
    values = {tag: _tiff_values(data, order, *rest) for tag, *rest in tags if tag in _READ}
    width, length = (next(iter(values.get(tag, ())), 0) for tag in (_TILE_WIDTH, _TILE_LENGTH))
    if width * length > max_pixels:
        raise ImageError("too_many_pixels", f"tiles of {width} x {length}, allowed are {max_pixels} pixels")
    packed = sum(sum(values.get(tag, ())) for tag in (_STRIP_BYTES, _TILE_BYTES))
    if next(iter(values.get(_COMPRESSION, ())), 1) != 1 and packed > 2 * len(data):
        raise ImageError("too_many_parts", f"strips of {packed} bytes in a file of {len(data)}: they overlap")
    for tag in _FOLDERS & values.keys() if depth < 2 else ():
        for inner in values[tag][:1]:
            _check_tiff(data, max_pixels, inner, depth + 1)


def _tiff_values(data: bytes, order: str, kind: int, count: int, stored: bytes) -> tuple[int, ...]:
    """The whole numbers of a tag; none where it holds a string, or where they lie outside the file."""
    layout = f"{order}{count}{_UNITS[kind]}" if kind in _UNITS else "0s"
    size = struct.calcsize(layout)
    if size > 4:
        (start,) = struct.unpack(f"{order}L", stored)
        stored = data[start : start + size]
    try:
        return struct.unpack(layout, stored[:size]) if kind in _UNITS else ()
    except struct.error:
        return ()
