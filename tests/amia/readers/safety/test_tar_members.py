"""Members of tar archives: equal to `tarfile` for valid ones, and errors for malicious ones."""

import gzip
import io
import struct
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.errors import CorpusError
from amia.readers import open_corpus
from amia.readers.safety.tar_members import MAX_HEADER_BYTES, read_members
from amia.readers.source import LocalFile

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=300)


def read(file: Path) -> list[tuple[str, str, bytes]]:
    return [(member.name, member.kind, member.read(1 << 20)) for member in read_members(LocalFile(file, file.name))]


@given(
    st.lists(st.tuples(NAMES, st.binary(max_size=1_500)), max_size=5),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.sampled_from(["w", "w:gz", "w:bz2", "w:xz"]),
)
def test_valid_archives_equal_tarfile(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, bytes]], layout: int, mode: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "x.tar"
    with tarfile.open(file, mode, format=layout) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    with tarfile.open(file) as archive:
        expected = []
        for info in archive:
            content = archive.extractfile(info).read() if info.isreg() else b""
            expected.append((info.name.rstrip("/"), "file" if info.isreg() else "folder", content))
    assert [(name.rstrip("/"), *rest) for name, *rest in read(file)] == expected


def test_prefix_and_all_types_of_members(tmp_path: Path) -> None:
    kinds = {b"0": "file", b"7": "file", b"5": "folder", b"1": "other", b"2": "other", b"3": "other", b"6": "other"}
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        for kind in kinds:
            info = tarfile.TarInfo("folder/" * 20 + kind.decode())
            info.type, info.linkname = kind, "a"
            archive.addfile(info)
    members = read(tmp_path / "x.tar")
    assert [(name.rstrip("/")[-1].encode(), kind) for name, kind, _ in members] == list(kinds.items())
    assert all(name.startswith("folder/folder/") for name, _, _ in members)


def header(name: str, kind: bytes = b"0", size: int = 0, data: bytes = b"", size_field: bytes | None = None) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size or len(data)
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    if size_field is not None:
        block[124:136] = size_field
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + data + bytes(-len(data) % 512)


def record(key: bytes, value: bytes) -> bytes:
    body = b" %b=%b\n" % (key, value)
    length = len(body) + 1
    while length != len(body) + len(str(length)):
        length = len(body) + len(str(length))
    return str(length).encode() + body


def attributes(**values: bytes) -> bytes:
    body = b"".join(record(key.replace("_", ".").encode(), value) for key, value in values.items())
    return header("pax", b"x", data=body)


GOOD = header("good.txt", data=b"good")
END = bytes(1024)
SPARSE = {"GNU_sparse_major": b"1", "GNU_sparse_minor": b"0", "GNU_sparse_name": b"s.jpg"}


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        (header("a.txt", size_field=b"\xff" + (-2048).to_bytes(11, signed=True)), "in place of a number"),
        (header("a.txt", size_field=b"-0000000777\0"), "the size -511"),
        (header("a.txt", size_field=b"99999999999\0"), "in place of a number"),
        (attributes(size=b"-512") + header("a.txt"), "the size -512"),
        (attributes(size=b"zz") + header("a.txt"), "in place of a number"),
        (header("x", b"x", data=b"zz size=1\n") + header("a.txt"), "in place of a number"),
        (header("x", b"x", data=b"0 size=1\n") + header("a.txt"), "invalid list of attributes"),
        (header("x", b"x", data=b"900 size=1\n") + header("a.txt"), "invalid list of attributes"),
        (header("x", b"x", size=10**9), "a header of 1000000000 bytes"),
        (header("x", b"L", size=10**12, size_field=b"\x80" + (10**12).to_bytes(11)), "a header of 1000000000000 bytes"),
        (header("x", b"x", data=b"0" * 400_000), "a header of 400000 bytes"),  # `tarfile` takes minutes
        (header("a.jpg", size=10**9), "unexpected end"),
        (b"x" * 512, "in place of a number"),
        (GOOD[:148] + b"0000000\0" + GOOD[156:], "checksum"),
    ],
)
def test_rejects_invalid_headers(tmp_path: Path, between: bytes, reason: str) -> None:
    (tmp_path / "x.tar").write_bytes(GOOD + between + GOOD + END)
    rows = iter(open_corpus(tmp_path))
    with pytest.raises(CorpusError, match=r"x\.tar: the archive is damaged or truncated") as caught:
        list(rows)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "member",
    [
        attributes(**SPARSE, GNU_sparse_realsize=b"1000000000000") + header("s.jpg", data=b"1\n0\n0\n"),
        attributes(**SPARSE, GNU_sparse_realsize=b"10") + header("s.jpg", data=b"999999999\n" + b"1" * 502),
        header("s.jpg", b"S"),
    ],
)
def test_sparse_members_are_rejected_and_not_expanded(tmp_path: Path, member: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(GOOD + member + header("next.txt", data=b"next") + END)
    tracemalloc.start()
    try:
        rows = list(open_corpus(tmp_path))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert [getattr(row, "text", None) for row in rows] == [None, "good", "next"]
    assert "sparse" in rows[0].reason


def test_many_consecutive_headers(tmp_path: Path) -> None:
    # `tarfile` recurses for each of them.
    headers = header("x", b"L", data=b"name.txt") * 3_000 + attributes(path=b"name.txt") * 3_000
    (tmp_path / "x.tar").write_bytes(headers + header("other", data=b"text") + END)
    assert [(row.id, row.text) for row in open_corpus(tmp_path)] == [("name", "text")]


def test_oversized_name_is_not_decompressed(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "x.tar.gz", "wb", compresslevel=1) as file:
        file.write(header("x", b"L", size=MAX_HEADER_BYTES * 500))
        file.write(b"a" * MAX_HEADER_BYTES * 500)
    tracemalloc.start()
    try:
        with pytest.raises(CorpusError, match="a header of 32768000 bytes"):
            list(open_corpus(tmp_path))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_checksums_of_signed_bytes(tmp_path: Path) -> None:
    block = bytearray(header("caf\udcc3\udca9.txt", data=b"text"))
    block[148:156] = b" " * 8
    signed = sum(struct.unpack("512b", block[:512]))
    block[148:156] = b"%06o\0 " % signed
    (tmp_path / "x.tar").write_bytes(bytes(block) + END)
    assert [row.id for row in open_corpus(tmp_path)] == ["café"]
