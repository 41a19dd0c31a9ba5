"""Mutations of valid files, like those of disks, networks and attackers."""

import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random

__all__ = ["fix_checksums", "mutate"]

Mutation = Callable[[bytes, Random, Sequence[bytes]], bytes]

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
WORDS = (
    *(b"\0", b"\n", b"\n\n", b"\r", b"\t", b'"', b"\\", b"{", b"}", b"[" * 2_000, b'{"a":' * 2_000, b"null", b"NaN"),
    *(b"1e999", b"9" * 5_000, b"\\ud800", b"\\u0000", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"../", b"/"),
    *(b"IMGID:", b"IMGID:../x\n", b"\tB-", b"\tI-PER", b"\tPERSON", b'"id": ', b'"text": ', b'"image": '),
    *(b"ARROW:extension:name", b"PAR1", b"ustar\x0000", b"<script>", b"\x1b[2J", b"x" * 70_000),
)
"""Words with a meaning to some reader."""
_HEADER_BYTES = 400
"""Bytes at each end of a file, where most of its headers are."""


def mutate(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """Apply one to four mutations; `others` are files of the same kind, parts of which may be inserted."""
    mutations, keep_ends = random.choice(((MUTATIONS, False), (IN_PLACE, False), (IN_PLACE, True)))
    # Headers at the ends of a file contain its sizes. With intact ends and an unchanged size, readers get to the rest.
    start, end = (len(data) // 10, len(data) * 2 // 3) if keep_ends else (0, len(data))
    damaged = data[start:end]
    for _ in range(random.choice((1, 1, 2, 4))):
        damaged = random.choice(mutations)(damaged, random, others)
    return data[:start] + damaged + data[end:]


def fix_checksums(data: bytes) -> bytes:
    """Correct the checksums of a PNG or a tar, so that readers get to the mutated content."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _fix_png(data)
    blocks = [data[start : start + 512] for start in range(0, len(data), 512)]
    return b"".join(_fix_tar_header(block) if block[257:262] == b"ustar" else block for block in blocks)


def _fix_png(data: bytes) -> bytes:
    at, fixed = 8, bytearray(data)
    while at + 12 <= len(data):
        end = at + 8 + struct.unpack_from(">I", data, at)[0]
        if end + 4 > len(data):
            break
        struct.pack_into(">I", fixed, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(fixed)


def _fix_tar_header(block: bytes) -> bytes:
    if len(block) < 512:
        return block
    return block[:148] + b"%06o\0 " % sum(block[:148] + b" " * 8 + block[156:]) + block[156:]


def _position(data: bytes, random: Random) -> int:
    """Return a random position, often near one of the ends."""
    choice = random.random()
    if choice < 0.4:
        return random.randrange(min(len(data), _HEADER_BYTES) + 1)
    return max(0, len(data) - random.randrange(_HEADER_BYTES)) if choice < 0.6 else random.randrange(len(data) + 1)


def _range(data: bytes, random: Random) -> tuple[int, int]:
    start = _position(data, random)
    return start, min(len(data), start + random.choice((1, 4, 30, 512, 5_000)))


def _truncate(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _remove_start(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    return data[_position(data, random) :]


def _flip_bits(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    damaged = bytearray(data)
    for _ in range(random.choice((1, 2, 8, 40)) if data else 0):
        damaged[min(_position(data, random), len(data) - 1)] ^= 1 << random.randrange(8)
    return bytes(damaged)


def _replace_integer(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """Replace an integer of a header by an extreme one."""
    width = random.choice((1, 2, 4, 8))
    number = random.choice(EXTREMES) % 256**width
    at = _position(data, random)
    return data[:at] + number.to_bytes(width, random.choice(("little", "big"))) + data[at + width :]


def _splice(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    other = random.choice(others)
    return data[: _position(data, random)] + other[_position(other, random) :]


def _repeat(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    start, end = _range(data, random)
    times = random.choice((2, 10, 1_000))
    return data[:end] + data[start:end] * min(times, 100_000 // max(1, end - start)) + data[end:]


def _remove(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    start, end = _range(data, random)
    return data[:start] + data[end:]


def _zero(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    start, end = _range(data, random)
    return data[:start] + bytes(end - start) + data[end:]


def _move(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    start, end = _range(data, random)
    rest = data[:start] + data[end:]
    at = _position(rest, random)
    return rest[:at] + data[start:end] + rest[at:]


def _insert_word(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    at = _position(data, random)
    return data[:at] + random.choice(WORDS) + data[at:]


IN_PLACE: tuple[Mutation, ...] = (_flip_bits, _replace_integer, _zero)
MUTATIONS: tuple[Mutation, ...] = (*IN_PLACE, _truncate, _remove_start, _splice, _repeat, _remove, _move, _insert_word)
