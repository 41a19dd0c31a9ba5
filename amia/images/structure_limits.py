"""Limits on the number of parts in an image file, checked before Pillow reads it.

The header bounds the pixels, and `max_bytes` bounds the file, but neither bounds the structure around the pixels.
Twenty megabytes can hold a million scans of a progressive JPEG, each of which is a pass over the whole image, or as
many segments, chunks and strips, each of which becomes several objects. Honest files have a few dozen.
"""

import re
import struct
from collections import Counter

from amia.errors import ImageError

__all__ = ["check_structure"]

MAX_SCANS = 100
"""Scans of a JPEG. A progressive one has about ten. libtiff uses the same limit."""
MAX_SEGMENTS = 1_024
"""Segments of a JPEG. A color profile takes up to 255, and 20 MB of metadata fill 306."""
MAX_EXIF_SEGMENTS = 64
"""EXIF segments of a JPEG, which Pillow joins one by one. Nearly all cameras write one."""
MAX_CHUNKS = 65_536
"""Chunks of a PNG, including those of pixels, which usually hold 8 KB."""
MAX_CHUNKS_OF = {b"iCCP": 8, b"": 4_096}
"""Chunks of a PNG with this name (each color profile may unpack to a megabyte), and, under the empty name, all chunks
without pixels."""
MAX_BLOCKS = 65_536
"""Blocks of up to 255 bytes before the first frame of a GIF."""
MAX_VALUES = 250_000
"""Values of a TIFF's tags that are not strings. A strip per line and channel is 80,000, twice, at the longest side."""

_JPEG_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
"""Markers of segments. Restart markers, of which there may be millions, and the start of a file have no segment."""
_SCAN, _END, _EXIF = 0xDA, 0xD9, 0xE1
_SEQUENTIAL = (0xC0, 0xC1)
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}

_TIFF_FORMATS = {3: "H", 4: "L", 5: "Q", 8: "H", 9: "L", 10: "Q", 11: "L", 12: "Q", 13: "L", 16: "Q"}
"""TIFF types other than byte strings -> `struct` format of the same size."""
_COMPRESSION, _STRIP_BYTES, _TILE_WIDTH, _TILE_LENGTH, _TILE_BYTES = 259, 279, 322, 323, 325
_DIRECTORIES = {34665, 34853, 40965}
"""TIFF tags that point to further directories of tags: EXIF, GPS, interoperability."""
_TAGS_READ = {_COMPRESSION, _STRIP_BYTES, _TILE_WIDTH, _TILE_LENGTH, _TILE_BYTES} | _DIRECTORIES


def check_structure(data: bytes, kind: str, max_pixels: int) -> None:
    """Check that a file has no more parts than can be read in reasonable time.

    `kind` is Pillow's name of the format. An invalid file passes, since Pillow rejects it. Raises ImageError
    (`too_many_parts`, or `too_many_pixels` for a tile of a TIFF).
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


def _check_count(count: int, limit: int, unit: str) -> None:
    if count > limit:
        raise ImageError("too_many_parts", f"more than {limit} {unit}")


def _check_jpeg(data: bytes) -> None:
    segments = scans = exif = components = 0
    sequential = False
    position = 2
    while (match := _JPEG_MARKER.search(data, position)) is not None:
        marker, position = data[match.end() - 1], match.end()
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
                return  # this scan holds the complete image, and decoders read nothing after it
        if marker == _EXIF:
            exif += data[position + 2 : position + 6] == b"Exif"
        _check_count(segments, MAX_SEGMENTS, "segments")
        _check_count(scans, MAX_SCANS, "scans")
        _check_count(exif, MAX_EXIF_SEGMENTS, "EXIF segments")
        position += max(2, int.from_bytes(data[position : position + 2]))


def _check_png(data: bytes) -> None:
    total = 0
    by_name = Counter[bytes]()  # the empty name counts all chunks without pixels
    position = 8
    while position + 8 <= len(data):
        name = data[position + 4 : position + 8]
        total += 1
        by_name[name] += 1
        if name not in (b"IDAT", b"fdAT"):
            by_name[b""] += 1
        _check_count(total, MAX_CHUNKS, "chunks")
        for limited, limit in MAX_CHUNKS_OF.items():
            _check_count(by_name[limited], limit, f"{limited.decode()} chunks" if limited else "chunks without pixels")
        if name == b"IEND":
            return
        position += 12 + int.from_bytes(data[position : position + 4])


def _check_gif(data: bytes) -> None:
    flags = data[10] if len(data) > 10 else 0
    position = 13 + (6 << (flags & 7) if flags & 0x80 else 0)
    blocks = 0
    while position < len(data) and data[position] not in b",;":
        blocks += 1
        _check_count(blocks, MAX_BLOCKS, "blocks before the first frame")
        if data[position] != 0x21:  # not an extension: Pillow continues byte by byte
            position += 1
            continue
        position += 2
        while position < len(data) and data[position]:
            blocks += 1
            _check_count(blocks, MAX_BLOCKS, "blocks before the first frame")
            position += 1 + data[position]
        position += 1


def _check_tiff(data: bytes, max_pixels: int, offset: int | None = None, depth: int = 0) -> None:
    """Check one directory of tags, and the directories that it points to."""
    order = "<" if data.startswith(b"II") else ">"
    try:
        if offset is None:
            (offset,) = struct.unpack_from(f"{order}L", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, offset)
        tags = [struct.unpack_from(f"{order}HHL4s", data, offset + 2 + 12 * index) for index in range(count)]
    except struct.error:
        return
    _check_count(sum(count for _, kind, count, _ in tags if kind in _TIFF_FORMATS), MAX_VALUES, "values of tags")
    values = {tag: _tiff_values(data, order, *rest) for tag, *rest in tags if tag in _TAGS_READ}
    width, length = (next(iter(values.get(tag, ())), 0) for tag in (_TILE_WIDTH, _TILE_LENGTH))
    if width * length > max_pixels:
        raise ImageError("too_many_pixels", f"tiles of {width} x {length}, the limit is {max_pixels} pixels")
    packed = sum(sum(values.get(tag, ())) for tag in (_STRIP_BYTES, _TILE_BYTES))
    if next(iter(values.get(_COMPRESSION, ())), 1) != 1 and packed > 2 * len(data):
        raise ImageError("too_many_parts", f"strips of {packed} bytes in a file of {len(data)}: they overlap")
    for tag in _DIRECTORIES & values.keys() if depth < 2 else ():
        for inner in values[tag][:1]:
            _check_tiff(data, max_pixels, inner, depth + 1)


def _tiff_values(data: bytes, order: str, kind: int, count: int, stored: bytes) -> tuple[int, ...]:
    """Return the integers of a tag; none if it holds a string, or if they lie outside the file."""
    layout = f"{order}{count}{_TIFF_FORMATS[kind]}" if kind in _TIFF_FORMATS else "0s"
    size = struct.calcsize(layout)
    if size > 4:
        (start,) = struct.unpack(f"{order}L", stored)
        stored = data[start : start + size]
    try:
        return struct.unpack(layout, stored[:size]) if kind in _TIFF_FORMATS else ()
    except struct.error:
        return ()
