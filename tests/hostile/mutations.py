"""Real files damaged the way that disks, networks and people who mean no good damage them."""

import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random

__all__ = ["mutated", "sealed"]

Damage = Callable[[bytes, Random, Sequence[bytes]], bytes]

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
WORDS = (
    *(b"\0", b"\n", b"\n\n", b"\r", b"\t", b'"', b"\\", b"{", b"}", b"[" * 2_000, b'{"a":' * 2_000, b"null", b"NaN"),
    *(b"1e999", b"9" * 5_000, b"\\ud800", b"\\u0000", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"../", b"/"),
    *(b"IMGID:", b"IMGID:../x\n", b"\tB-", b"\tI-PER", b"\tPERSON", b'"id": ', b'"text": ', b'"image": '),
    *(b"ARROW:extension:name", b"PAR1", b"ustar\x0000", b"<script>", b"\x1b[2J", b"x" * 70_000),
)
"""What means something to one reader or another."""
_ENDS = 400
"""Bytes at either end of a file where most of its headers lie."""


def mutated(data: bytes, draw: Random, others: Sequence[bytes]) -> bytes:
    """A file after one to four damages; `others` are files of its kind, of which it may get parts."""
    damages, keep = draw.choice(((DAMAGES, False), (IN_PLACE, False), (IN_PLACE, True)))
    # Formats count bytes, and say at their ends how: with whole ends, and not a byte too many, the rest is read too.
    start, end = (len(data) // 10, len(data) * 2 // 3) if keep else (0, len(data))
    damaged = data[start:end]
    for _ in range(draw.choice((1, 1, 2, 4))):
        damaged = draw.choice(damages)(damaged, draw, others)
    return data[:start] + damaged + data[end:]


def sealed(data: bytes) -> bytes:
    """A PNG or a tar with right checksums: what is damaged inside is then looked at, not refused at the door."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _sealed_png(data)
    blocks = [data[start : start + 512] for start in range(0, len(data), 512)]
    return b"".join(_sealed_header(block) if block[257:262] == b"ustar" else block for block in blocks)


def _sealed_png(data: bytes) -> bytes:
    at, whole = 8, bytearray(data)
    while at + 12 <= len(data):
        end = at + 8 + struct.unpack_from(">I", data, at)[0]
        if end + 4 > len(data):
            break
        struct.pack_into(">I", whole, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(whole)


def _sealed_header(block: bytes) -> bytes:
    if len(block) < 512:
        return block
    return block[:148] + b"%06o\0 " % sum(block[:148] + b" " * 8 + block[156:]) + block[156:]


def _place(data: bytes, draw: Random) -> int:
    """Somewhere in it; often near one of its ends."""
    where = draw.random()
    if where < 0.4:
        return draw.randrange(min(len(data), _ENDS) + 1)
    return max(0, len(data) - draw.randrange(_ENDS)) if where < 0.6 else draw.randrange(len(data) + 1)


def _stretch(data: bytes, draw: Random) -> tuple[int, int]:
    start = _place(data, draw)
    return start, min(len(data), start + draw.choice((1, 4, 30, 512, 5_000)))


def _cut(data: bytes, draw: Random, others: Sequence[bytes]) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _beheaded(data: bytes, draw: Random, others: Sequence[bytes]) -> bytes:
    return data[_place(data, draw) :]


def _flipped(data: bytes, draw: Random, others: Sequence[bytes]) -> bytes:
    damaged = bytearray(data)
    for _ in range(draw.choice((1, 2, 8, 40)) if data else 0):
        damaged[min(_place(data, draw), len(data) - 1)] ^= 1 << draw.randrange(8)
    return bytes(damaged)


def _renumbered(data: bytes, draw: Random, others: Sequence[bytes]) -> bytes:
    """A number in a header becomes an extreme one."""
    width = draw.choice((1, 2, 4, 8))
    number = draw.choice(EXTREMES) % 256**width
    at = _place(data, draw)
    return data[:at] + number.to_bytes(width, draw.choice(("little", "big"))) + data[at + width :]


def _spliced(data: bytes, draw: Random, others: Sequence[bytes]) -> bytes:
    other = draw.choice(others)
    return data[: _place(data, draw)] + other[_place(other, draw) :]


def _repeated(data: bytes, draw: Random, others: Sequence[bytes]) -> bytes:
    start, end = _stretch(data, draw)
    times = draw.choice((2, 10, 1_000))
    return data[:end] + data[start:end] * min(times, 100_000 // max(1, end - start)) + data[end:]


def _removed(data: bytes, draw: Random, others: Sequence[bytes]) -> bytes:
    start, end = _stretch(data, draw)
    return data[:start] + data[end:]


def _zeroed(data: bytes, draw: Random, others: Sequence[bytes]) -> bytes:
    start, end = _stretch(data, draw)
    return data[:start] + bytes(end - start) + data[end:]


def _moved(data: bytes, draw: Random, others: Sequence[bytes]) -> bytes:
    start, end = _stretch(data, draw)
    rest = data[:start] + data[end:]
    at = _place(rest, draw)
    return rest[:at] + data[start:end] + rest[at:]


def _worded(data: bytes, draw: Random, others: Sequence[bytes]) -> bytes:
    at = _place(data, draw)
    return data[:at] + draw.choice(WORDS) + data[at:]


IN_PLACE: tuple[Damage, ...] = (_flipped, _renumbered, _zeroed)
DAMAGES: tuple[Damage, ...] = (*IN_PLACE, _cut, _beheaded, _spliced, _repeated, _removed, _moved, _worded)
