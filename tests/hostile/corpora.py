"""Whole corpora of bad rows with good ones between them, one a format, written into a folder."""

import io
import json
import os
import socket
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from tests.hostile.images import good_image
from tests.hostile.rows import CONLL, IMAGE_POSTS, JSON_LINES, PATHS, POSTS, Expected, Post, good_post

T = TypeVar("T")
Entry = tuple[bytes, str | None, str | None, Expected]
"""What is written; the id and the text of the post that it is, and what becomes of it."""
Members = tuple[list[tuple[str, bytes] | tarfile.TarInfo], "Row"]

__all__ = ["CORPORA", "SECRET", "Corpus", "Row"]

SECRET = b"amia-hostile-secret"
"""Stands in files outside, which a corpus has no right to."""


@dataclass(frozen=True)
class Row:
    """A row of a corpus, and what becomes of it."""

    where: str
    id: str | None
    text: str | None
    expected: Expected


@dataclass(frozen=True)
class Corpus:
    """What was written, and what is to come of it."""

    source: Path
    rows: list[Row]


def jsonl(folder: Path, *, bad: bool = True) -> Corpus:
    """Lines, and paths of images."""
    source = folder / "posts"
    image_folder(source)
    lines: list[Entry] = []
    for line, expected in JSON_LINES.items():
        record = None if expected.rejected else json.loads(line)
        lines.append((line, record and str(record["id"]), record and record["text"], expected))
    lines += [(json.dumps(post.record).encode(), post.id, said(post), post.expected) for post in POSTS]
    for path, status in PATHS.items():
        record = {"id": f"path {path}", "text": "somewhere", "image": path}
        lines.append((json.dumps(record).encode(), record["id"], "somewhere", Expected(image=status)))
    for number, post in enumerate(IMAGE_POSTS):
        (source / f"{number}.jpg").write_bytes(post.image)
        record = {**post.record, "image": f"{number}.jpg"}
        lines.append((json.dumps(record).encode(), post.id, post.text, post.expected))
    goods: list[Entry] = []
    for number in range(len(lines) // BETWEEN + 1):
        good = good_post(number)
        (source / f"good-{number}.jpg").write_bytes(good.image)
        record = {**good.record, "image": f"good-{number}.jpg"}
        goods.append((json.dumps(record).encode(), good.id, said(good), good.expected))
    mixed = between(lines if bad else [], goods)
    (source / "posts.jsonl").write_bytes(b"".join(line + b"\n" for line, *_ in mixed))
    return Corpus(source, [Row(f"posts.jsonl:{place}", *rest) for place, (_, *rest) in enumerate(mixed, 1)])


def conll(folder: Path, *, bad: bool = True) -> Corpus:
    """Blocks of lines, and images named by ids."""
    source = folder / "posts"
    images = source / "images"
    images.mkdir(parents=True)
    (folder / "secret.jpg").write_bytes(good_image(99) + SECRET)
    (images / "c17.jpg").mkdir()
    os.mkfifo(images / "c18.jpg")
    (images / "c19.jpg").symlink_to(folder / "secret.jpg")
    (images / "c20.jpg").touch()
    (images / "c21.jpg").write_bytes(b"<html>")
    (images / "\x1b[2J.jpg").write_bytes(good_image(1))
    not_utf_8(images)
    blocks: list[Entry] = []
    for block, expected in CONLL.items():
        first, *lines = block.replace(b"\r", b"").split(b"\n")
        named = first.startswith(b"IMGID:")
        tokens = [line.split(b"\t")[0].decode(errors="replace") for line in (lines if named else [first, *lines])]
        post_id = first.removeprefix(b"IMGID:").decode() if named else None
        image = "ok" if post_id == "\x1b[2J" else expected.image
        blocks.append(
            (block, post_id, " ".join(tokens), expected if image == expected.image else Expected(image=image))
        )
    for number, post in enumerate(IMAGE_POSTS):
        (images / f"{number}.jpg").write_bytes(post.image)
        blocks.append((f"IMGID:{number}\npicture\tO".encode(), str(number), "picture", post.expected))
    goods: list[Entry] = []
    for number in range(len(blocks) // BETWEEN + 1):
        good = good_post(number)
        (images / f"{good.id}.jpg").write_bytes(good.image)
        words = "\n".join(f"{token}\t{tag}" for token, tag in zip(good.tokens, good.tags, strict=True))
        goods.append((f"IMGID:{good.id}\n{words}".encode(), good.id, said(good), good.expected))
    mixed = between(blocks if bad else [], goods)
    rows: list[Row] = []
    line = 1
    for block, post_id, text, expected in mixed:
        rows.append(Row(f"train.txt:{line}", post_id, text, expected))
        line += block.count(b"\n") + 2
    (source / "train.txt").write_bytes(b"\xef\xbb\xbf" + b"".join(block + b"\n\n" for block, *_ in mixed))
    return Corpus(source, rows)


def tar(folder: Path, *, bad: bool = True) -> Corpus:
    """Members that share a name, and members that are no files."""
    source = folder / "posts"
    source.mkdir(parents=True)
    shards: list[Members] = []
    for number, post in enumerate([*POSTS, *IMAGE_POSTS]):
        members = [(f"{number}.json", json.dumps(post.record).encode())]
        members += [] if post.image is None else [(f"{number}.jpg", post.image)]
        shards.append((members, Row(f"x.tar/{number}", post.id, said(post), post.expected)))
    for name, text in {
        "../../climbs": "a",
        "/etc/absolute": "b",
        "a/../../b": "c",
        "pipe:cat x": "d",
        "~root/e": "e",
        "control\x1b[2J\n": "f",
        "l" * 300: "g",
    }.items():
        shards.append(([(f"{name}.txt", text.encode())], Row(f"x.tar/{name}", name, text, Expected())))
    for name, member, reason in (
        ("s.jpg", _special("s.jpg", tarfile.SYMTYPE), "a link, a device or a sparse file"),
        ("h.txt", _special("h.txt", tarfile.LNKTYPE), "a link, a device or a sparse file"),
        ("c.jpg", _special("c.jpg", tarfile.CHRTYPE), "a link, a device or a sparse file"),
        ("f.jpg", _special("f.jpg", tarfile.FIFOTYPE), "a link, a device or a sparse file"),
        ("S.jpg", _special("S.jpg", tarfile.GNUTYPE_SPARSE), "a link, a device or a sparse file"),
        ("pickled", ("pickled.pkl", b"cposix\nsystem\n(S'true'\ntR."), "no text"),
        ("module", ("module.pyd", b"MZ"), "no text"),
        ("python", ("python.py", b"raise SystemExit"), "no text"),
        ("array", ("array.npy", b"\x93NUMPY"), "no text"),
        ("tensor", ("tensor.pth", b"PK\x03\x04"), "no text"),
        ("bytes", ("bytes.txt", b"\xff\xfe"), ".txt: "),
        ("broken", ("broken.json", b"{"), ".json: not valid JSON"),
        ("list", ("list.json", b"[]"), ".json: not a JSON object"),
        ("deep", ("deep.json", b"[" * 100_000), ".json: not valid JSON"),
        ("large", ("large.txt", b"x" * 1_100_000), ".txt: more than"),
        ("path", ("path.json", b'{"id": "path", "text": 7, "image": "../secret.jpg"}'), "text is a number"),
        ("caf\udce9", ("caf\udce9.txt", b"x"), "id is not valid Unicode"),
    ):
        where = f"x.tar/{name}".encode("utf-8", "backslashreplace").decode()
        shards.append(([member], Row(where, None, None, Expected(rejected=reason))))
    twice = [("again.jpg", good_image(50)), ("again.jpg", b"<html>"), ("again.txt", b"first"), ("again.txt", b"last")]
    shards.append((twice, Row("x.tar/again", "again", "last", Expected(image="ok"))))
    goods: list[Members] = []
    for number in range(len(shards) // BETWEEN + 1):
        good = good_post(number)
        members = [(f"{good.id}.png", good.image), (f"{good.id}.json", json.dumps(good.record).encode())]
        goods.append((members, Row(f"x.tar/{good.id}", good.id, said(good), good.expected)))
    mixed = between(shards if bad else [], goods)
    with tarfile.open(source / "x.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for members, _ in mixed:
            for member in members:
                if isinstance(member, tarfile.TarInfo):
                    archive.addfile(member)
                    continue
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return Corpus(source, [row for _, row in mixed])


def parquet(folder: Path, *, bad: bool = True) -> Corpus:
    """Rows of a table, with images inside and images that are paths."""
    source = folder / "posts"
    image_folder(source)
    return _table(source, bad, lambda table: pq.write_table(table, source / "x.parquet", row_group_size=50))


def saved(folder: Path, *, bad: bool = True) -> Corpus:
    """The same as `datasets` saves it."""
    source = folder / "posts"
    image_folder(source)
    (source / "state.json").write_text('{"_data_files": [{"filename": "x.parquet"}], "_split": "train"}')

    def write(table: pa.Table) -> None:
        with pa.ipc.new_stream(source / "x.parquet", table.schema) as stream:
            stream.write_table(table, max_chunksize=50)

    return _table(source, bad, write)


def _table(source: Path, bad: bool, write: Callable[[pa.Table], None]) -> Corpus:
    rows: list[tuple[dict[str, object], Expected, str | None]] = []
    for post in [*POSTS, *IMAGE_POSTS]:
        image = None if post.image is None else {"bytes": post.image, "path": "../../secret.jpg"}
        rows.append(({**post.record, "image": image}, post.expected, said(post)))
    for path, status in PATHS.items():
        record = {"id": f"path {path}", "text": "somewhere", "image": {"bytes": None, "path": path}}
        rows.append((record, Expected(image=status), "somewhere"))
    rows.append(({"id": "\ufffdbytes\ufffd", "text": "X" * 7}, Expected(rejected="not valid UTF-8"), None))
    goods: list[tuple[dict[str, object], Expected, str | None]] = []
    for number in range(len(rows) // BETWEEN + 1):
        good = good_post(number)
        record = {**good.record, "image": {"bytes": good.image, "path": None}}
        goods.append((record, good.expected, said(good)))
    mixed = between(rows if bad else [], goods)
    schema = pa.schema(
        {
            "id": pa.string(),
            "text": pa.string(),
            "tokens": pa.list_(pa.string()),
            "tags": pa.list_(pa.string()),
            "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        }
    )
    write(_with_broken_text(pa.Table.from_pylist([record for record, *_ in mixed], schema)))
    return Corpus(
        source,
        [
            Row(f"x.parquet#{place}", str(record["id"]), text, expected)
            for place, (record, expected, text) in enumerate(mixed)
        ],
    )


def _with_broken_text(table: pa.Table) -> pa.Table:
    """Seven X in a row become bytes that are not UTF-8."""
    columns = []
    for text in table["text"].chunks:
        validity, offsets, data = text.buffers()
        broken = pa.py_buffer(data.to_pybytes().replace(b"X" * 7, b"\xff" * 7))
        columns.append(pa.Array.from_buffers(pa.string(), len(text), [validity, offsets, broken]))
    return table.set_column(1, "text", pa.chunked_array(columns, pa.string()))


def image_folder(source: Path) -> None:
    """Where `rows.PATHS` lead, and a secret beside it."""
    source.mkdir(parents=True)
    (source.parent / "secret.jpg").write_bytes(good_image(99) + SECRET)
    (source.parent / "etc").mkdir()
    (source / "sub").mkdir()
    (source / "folder.jpg").mkdir()
    for name in (
        "good.jpg",
        "sub/good.jpg",
        "control\x1b[2J\n.jpg",
        "n" * 240 + ".jpg",
        "really-a-png.jpg",
        "no-ending",
    ):
        (source / name).write_bytes(good_image(7))
    (source / "empty.jpg").touch()
    with (source / "large.jpg").open("wb") as file:
        file.truncate(10**12)  # a terabyte of nothing
    (source / "link-in.jpg").symlink_to("sub/good.jpg")
    (source / "link-out.jpg").symlink_to("../secret.jpg")
    (source / "folder-out").symlink_to("..")
    (source / "device-out.jpg").symlink_to("/dev/zero")
    (source / "circle.jpg").symlink_to("circle.jpg")
    os.mkfifo(source / "pipe.jpg")
    not_utf_8(source)
    with socket.socket(socket.AF_UNIX) as listening:
        # The path of a socket is short by law.
        here = os.open(source, os.O_RDONLY)
        listening.bind(f"/proc/self/fd/{here}/socket.jpg")
        os.close(here)


def not_utf_8(folder: Path) -> None:
    """A file whose name no row can say."""
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.jpg")).write_bytes(good_image(8))


def said(post: Post) -> str | None:
    """Its text, as it is to come out."""
    return post.text if post.text is not None else " ".join(post.tokens or ())


BETWEEN = 4
"""Bad rows from one good row to the next."""


def between(bad: Sequence[T], good: Sequence[T]) -> list[T]:
    """Good rows first, last, and after every few bad ones."""
    mixed = [good[0]]
    for number, each in enumerate(good[1:]):
        mixed += [*bad[number * BETWEEN : (number + 1) * BETWEEN], each]
    return mixed + list(bad[(len(good) - 1) * BETWEEN :])


def _special(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


CORPORA: dict[str, Callable[..., Corpus]] = {
    "jsonl": jsonl,
    "conll": conll,
    "tar": tar,
    "parquet": parquet,
    "saved": saved,
}
"""Format -> what writes a corpus into a folder; with `bad=False` its good rows alone."""
