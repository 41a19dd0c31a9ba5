"""Corpora of hostile rows with valid rows between them, one per format, written into a folder."""

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
"""Bytes of a row, id and text of its post, and the expected result."""
Members = tuple[list[tuple[str, bytes] | tarfile.TarInfo], "Row"]

__all__ = ["CORPORA", "SECRET", "Corpus", "Row"]

SECRET = b"amia-hostile-secret"
"""Content of files outside the corpus, which must not be read."""


@dataclass(frozen=True)
class Row:
    """A row of a corpus and its expected result."""

    location: str
    id: str | None
    text: str | None
    expected: Expected


@dataclass(frozen=True)
class Corpus:
    """A written corpus and its expected rows."""

    source: Path
    rows: list[Row]


def jsonl(folder: Path, *, bad: bool = True) -> Corpus:
    """Write JSON lines, and paths of images."""
    source = folder / "posts"
    image_folder(source)
    lines: list[Entry] = []
    for line, expected in JSON_LINES.items():
        record = None if expected.rejected else json.loads(line)
        lines.append((line, record and str(record["id"]), record and record["text"], expected))
    lines += [(json.dumps(post.record).encode(), post.id, text_of(post), post.expected) for post in POSTS]
    for path, status in PATHS.items():
        record = {"id": f"path {path}", "text": "somewhere", "image": path}
        lines.append((json.dumps(record).encode(), record["id"], "somewhere", Expected(image=status)))
    for number, post in enumerate(IMAGE_POSTS):
        (source / f"{number}.jpg").write_bytes(post.image)
        record = {**post.record, "image": f"{number}.jpg"}
        lines.append((json.dumps(record).encode(), post.id, post.text, post.expected))
    valid: list[Entry] = []
    for number in range(len(lines) // BAD_PER_VALID + 1):
        good = good_post(number)
        (source / f"good-{number}.jpg").write_bytes(good.image)
        record = {**good.record, "image": f"good-{number}.jpg"}
        valid.append((json.dumps(record).encode(), good.id, text_of(good), good.expected))
    mixed = interleave(lines if bad else [], valid)
    (source / "posts.jsonl").write_bytes(b"".join(line + b"\n" for line, *_ in mixed))
    return Corpus(source, [Row(f"posts.jsonl:{line}", *rest) for line, (_, *rest) in enumerate(mixed, 1)])


def conll(folder: Path, *, bad: bool = True) -> Corpus:
    """Write CoNLL blocks, and images named by ids."""
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
    write_invalid_utf_8_name(images)
    blocks: list[Entry] = []
    for block, expected in CONLL.items():
        first, *lines = block.replace(b"\r", b"").split(b"\n")
        has_id = first.startswith(b"IMGID:")
        tokens = [line.split(b"\t")[0].decode(errors="replace") for line in (lines if has_id else [first, *lines])]
        post_id = first.removeprefix(b"IMGID:").decode() if has_id else None
        image = "ok" if post_id == "\x1b[2J" else expected.image
        blocks.append(
            (block, post_id, " ".join(tokens), expected if image == expected.image else Expected(image=image))
        )
    for number, post in enumerate(IMAGE_POSTS):
        (images / f"{number}.jpg").write_bytes(post.image)
        blocks.append((f"IMGID:{number}\nimage\tO".encode(), str(number), "image", post.expected))
    valid: list[Entry] = []
    for number in range(len(blocks) // BAD_PER_VALID + 1):
        good = good_post(number)
        (images / f"{good.id}.jpg").write_bytes(good.image)
        content = "\n".join(f"{token}\t{tag}" for token, tag in zip(good.tokens, good.tags, strict=True))
        valid.append((f"IMGID:{good.id}\n{content}".encode(), good.id, text_of(good), good.expected))
    mixed = interleave(blocks if bad else [], valid)
    rows: list[Row] = []
    line = 1
    for block, post_id, text, expected in mixed:
        rows.append(Row(f"train.txt:{line}", post_id, text, expected))
        line += block.count(b"\n") + 2
    (source / "train.txt").write_bytes(b"\xef\xbb\xbf" + b"".join(block + b"\n\n" for block, *_ in mixed))
    return Corpus(source, rows)


def tar(folder: Path, *, bad: bool = True) -> Corpus:
    """Write members with one name per post, and members that are not files."""
    source = folder / "posts"
    source.mkdir(parents=True)
    shards: list[Members] = []
    for number, post in enumerate([*POSTS, *IMAGE_POSTS]):
        members = [(f"{number}.json", json.dumps(post.record).encode())]
        members += [] if post.image is None else [(f"{number}.jpg", post.image)]
        shards.append((members, Row(f"x.tar/{number}", post.id, text_of(post), post.expected)))
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
        location = f"x.tar/{name}".encode("utf-8", "backslashreplace").decode()
        shards.append(([member], Row(location, None, None, Expected(rejected=reason))))
    repeated = [
        ("again.jpg", good_image(50)),
        ("again.jpg", b"<html>"),
        ("again.txt", b"first"),
        ("again.txt", b"last"),
    ]
    shards.append((repeated, Row("x.tar/again", "again", "last", Expected(image="ok"))))
    valid: list[Members] = []
    for number in range(len(shards) // BAD_PER_VALID + 1):
        good = good_post(number)
        members = [(f"{good.id}.png", good.image), (f"{good.id}.json", json.dumps(good.record).encode())]
        valid.append((members, Row(f"x.tar/{good.id}", good.id, text_of(good), good.expected)))
    mixed = interleave(shards if bad else [], valid)
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
    """Write rows of a table, with images inside and images that are paths."""
    source = folder / "posts"
    image_folder(source)
    return _table(source, bad, lambda table: pq.write_table(table, source / "x.parquet", row_group_size=50))


def hf_disk(folder: Path, *, bad: bool = True) -> Corpus:
    """Write the same rows as `datasets` saves them."""
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
        rows.append(({**post.record, "image": image}, post.expected, text_of(post)))
    for path, status in PATHS.items():
        record = {"id": f"path {path}", "text": "somewhere", "image": {"bytes": None, "path": path}}
        rows.append((record, Expected(image=status), "somewhere"))
    rows.append(({"id": "\ufffdbytes\ufffd", "text": "X" * 7}, Expected(rejected="not valid UTF-8"), None))
    valid: list[tuple[dict[str, object], Expected, str | None]] = []
    for number in range(len(rows) // BAD_PER_VALID + 1):
        good = good_post(number)
        record = {**good.record, "image": {"bytes": good.image, "path": None}}
        valid.append((record, good.expected, text_of(good)))
    mixed = interleave(rows if bad else [], valid)
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
            Row(f"x.parquet#{row}", str(record["id"]), text, expected)
            for row, (record, expected, text) in enumerate(mixed)
        ],
    )


def _with_broken_text(table: pa.Table) -> pa.Table:
    """Replace seven consecutive X by bytes that are not UTF-8."""
    columns = []
    for text in table["text"].chunks:
        validity, offsets, data = text.buffers()
        broken = pa.py_buffer(data.to_pybytes().replace(b"X" * 7, b"\xff" * 7))
        columns.append(pa.Array.from_buffers(pa.string(), len(text), [validity, offsets, broken]))
    return table.set_column(1, "text", pa.chunked_array(columns, pa.string()))


def image_folder(source: Path) -> None:
    """Write the folder that `rows.PATHS` refer to, and a secret next to it."""
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
        file.truncate(10**12)  # a sparse file of a terabyte
    (source / "link-in.jpg").symlink_to("sub/good.jpg")
    (source / "link-out.jpg").symlink_to("../secret.jpg")
    (source / "folder-out").symlink_to("..")
    (source / "device-out.jpg").symlink_to("/dev/zero")
    (source / "circle.jpg").symlink_to("circle.jpg")
    os.mkfifo(source / "pipe.jpg")
    write_invalid_utf_8_name(source)
    with socket.socket(socket.AF_UNIX) as listening:
        # The path of a socket has a low length limit.
        folder = os.open(source, os.O_RDONLY)
        listening.bind(f"/proc/self/fd/{folder}/socket.jpg")
        os.close(folder)


def write_invalid_utf_8_name(folder: Path) -> None:
    """Write a file whose name no row can contain."""
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.jpg")).write_bytes(good_image(8))


def text_of(post: Post) -> str | None:
    """Return the expected text of a post."""
    return post.text if post.text is not None else " ".join(post.tokens or ())


BAD_PER_VALID = 4
"""Hostile rows between two valid rows."""


def interleave(bad: Sequence[T], valid: Sequence[T]) -> list[T]:
    """Return valid rows at the start, at the end, and after every few hostile ones."""
    mixed = [valid[0]]
    for number, row in enumerate(valid[1:]):
        mixed += [*bad[number * BAD_PER_VALID : (number + 1) * BAD_PER_VALID], row]
    return mixed + list(bad[(len(valid) - 1) * BAD_PER_VALID :])


def _special(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


CORPORA: dict[str, Callable[..., Corpus]] = {
    "jsonl": jsonl,
    "conll": conll,
    "tar": tar,
    "parquet": parquet,
    "hf_disk": hf_disk,
}
"""Format -> function that writes a corpus into a folder; with `bad=False` only its valid rows."""
