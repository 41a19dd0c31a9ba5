"""WebDataset: members with one name form a post, and nothing in an archive is trusted."""

import io
import json
import tarfile
import tracemalloc
from pathlib import Path

import pytest
import webdataset

from amia.errors import CorpusError, ImageError
from amia.images import MAX_FILE_BYTES, ImageSettings, decode
from amia.posts import RawPost, Rejected
from amia.readers import open_corpus


def pack(file: Path, *members: tuple[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(file, mode) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file


def test_reads_archives_of_webdataset(tmp_path: Path, jpeg: bytes) -> None:
    with webdataset.TarWriter(str(tmp_path / "train-000.tar")) as writer:
        writer.write({"__key__": "a", "jpg": jpeg, "txt": "Ada left", "json": {"tokens": ["Ada"], "tags": ["B-PER"]}})
        writer.write({"__key__": "b", "txt": "no image"})
        writer.write({"__key__": "c", "png": b"\x89PNG", "json": {"id": "c7", "caption": "hello", "split": "test"}})
    corpus = open_corpus(tmp_path)
    assert (corpus.kind, corpus.image_root) == ("webdataset", None)
    assert list(corpus) == [
        RawPost(
            location="train-000.tar/a",
            id="a",
            split="train",
            text="Ada left",
            tokens=["Ada"],
            tags=["B-PER"],
            image=jpeg,
        ),
        RawPost(location="train-000.tar/b", id="b", split="train", text="no image"),
        RawPost(location="train-000.tar/c", id="c7", split="test", text="hello", image=b"\x89PNG"),
    ]


def test_keys_and_suffixes(tmp_path: Path) -> None:
    file = pack(
        tmp_path / "x.tar",
        ("./folder/a.txt", b"\xef\xbb\xbfone\r\n"),
        ("./folder/a.JPG", b"image"),
        ("folder/._a.jpg", b"a Mac's shadow of a file"),
        ("other/a.txt", b"two"),
        ("b.seg.png", b"not the image"),
        ("b.txt", b"three\n\n"),
        ("b.pkl", b"never opened"),
    )
    rows = list(open_corpus(file))
    assert [(row.id, row.text, row.image) for row in rows] == [
        ("folder/a", "one", b"image"),
        ("other/a", "two", None),
        ("b", "three\n", None),
    ]


def test_path_traversal_is_only_an_id(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    rows = list(open_corpus(pack(tmp_path / "in" / "x.tar", ("../../evil.txt", b"x"), ("/etc/evil.txt", b"y"))))
    assert [row.id for row in rows] == ["../../evil", "/etc/evil"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "x.tar"]


def test_image_paths_in_json_are_ignored(tmp_path: Path) -> None:
    (row,) = open_corpus(pack(tmp_path / "x.tar", ("a.json", b'{"text": "t", "image": "/etc/hostname"}')))
    assert (row.image, row.image_path) == (None, None)


def test_links_and_devices_are_rejected(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, kind in (("a.txt", tarfile.SYMTYPE), ("b.jpg", tarfile.LNKTYPE), ("c.txt", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        folder = tarfile.TarInfo("d")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        info = tarfile.TarInfo("e.txt")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"e"))
    rows = list(open_corpus(tmp_path))
    assert [row.location for row in rows] == ["x.tar/a.txt", "x.tar/b.jpg", "x.tar/c.txt", "x.tar/e"]
    assert [isinstance(row, Rejected) for row in rows] == [True, True, True, False]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("b.txt", b"\xff", ".txt: 'utf-8' codec"),
        ("b.txt", b"x" * ((1 << 20) + 1), ".txt: more than 1048576 bytes"),
        ("b.json", b"{", ".json: not valid JSON"),
        ("b.json", b"[]", ".json: not a JSON object"),
        ("b.json", b'{"text": 3}', "text is a number"),
    ],
)
def test_invalid_member_affects_its_post_only(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    rows = list(open_corpus(pack(tmp_path / "x.tar", ("a.txt", b"a"), (name, content), ("c.txt", b"c"))))
    assert [rows[0].text, rows[2].text] == ["a", "c"]
    assert isinstance(rows[1], Rejected)
    assert rows[1].location == "x.tar/b"
    assert rows[1].reason.startswith(reason)


def test_name_with_invalid_utf_8(tmp_path: Path) -> None:
    (row,) = open_corpus(pack(tmp_path / "x.tar", ("caf\udce9.txt", b"x")))
    assert isinstance(row, Rejected)
    assert row.location.encode()
    assert row.reason == "id is not valid Unicode"


def test_oversized_image_is_truncated_and_too_large(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz", compresslevel=1) as archive:
        info = tarfile.TarInfo("a.jpg")
        info.size = MAX_FILE_BYTES + 5_000
        archive.addfile(info, _Zeros())
        text = tarfile.TarInfo("a.txt")
        text.size = 1
        archive.addfile(text, io.BytesIO(b"t"))
    (row,) = open_corpus(tmp_path)
    assert len(row.image) == MAX_FILE_BYTES + 1
    assert row.text == "t"
    with pytest.raises(ImageError, match="too_large"):
        decode(row.image, ImageSettings(max_bytes=MAX_FILE_BYTES))


class _Zeros(io.RawIOBase):
    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        return len(buffer)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_rejects_truncated_archive(tmp_path: Path, mode: str) -> None:
    members = [(f"{n}.txt", json.dumps({"n": n * 7919}).encode() * 40) for n in range(40)]
    file = pack(tmp_path / "x.tar", *members, mode=mode)
    assert len(list(open_corpus(file))) == 40
    complete = file.read_bytes()
    for share in (0.3, 0.6, 0.8):
        file.write_bytes(complete[: int(len(complete) * share) // 7 * 7])
        with pytest.raises(CorpusError, match="damaged or truncated"):
            list(open_corpus(file))


@pytest.mark.parametrize("content", [b"", b"not an archive at all", b"\x1f\x8b" + b"junk" * 100])
def test_rejects_files_that_are_not_archives(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(CorpusError, match=r"x\.tar"):
        list(open_corpus(tmp_path))


def test_broken_header_is_not_the_end_of_the_archive(tmp_path: Path) -> None:
    file = pack(tmp_path / "x.tar", ("a.txt", b"a"), ("b.txt", b"b"), ("c.txt", b"c"))
    data = bytearray(file.read_bytes())
    data[1024 + 150] ^= 0xFF  # inside the second header's checksum
    file.write_bytes(data)
    with pytest.raises(CorpusError, match="damaged"):
        list(open_corpus(file))


def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    file = pack(tmp_path / "x.tar", *[(f"{n}.txt", b"x" * 400) for n in range(1_500)])
    tracemalloc.start()
    try:
        assert sum(1 for _ in open_corpus(file)) == 1_500
        assert tracemalloc.get_traced_memory()[1] < 300_000
    finally:
        tracemalloc.stop()
