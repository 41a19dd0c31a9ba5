"""Damaged files and drawn rows, thousands of them, each read in a process of its own.

    python -m tests.hostile.fuzz [inputs]

prints a line of JSON a kind; `tests/benchmarks/bench_fuzz.py` makes a table of it.

Whatever goes in, a row ends in exactly one status, with a reason where it is bad, or its whole source is refused with
amia's own error. Anything else is a fall: an exception of another kind, a process that died, a limit that was passed.
"""

import itertools
import json
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

from amia.errors import CorpusError, ImageError
from amia.images import decode, fetch_image, inspect, resize_to_square
from amia.posts import RawPost, Rejected, validate_post
from amia.readers import open_corpus
from amia.text import make_prompt
from tests.hostile.apart import SETTINGS, apart
from tests.hostile.corpora import CORPORA, image_folder
from tests.hostile.images import IMAGES, NOISE, PHOTO
from tests.hostile.mutations import mutated, sealed
from tests.hostile.pieces import saved
from tests.hostile.strategies import blocks, json_lines, sampled, tables

__all__ = ["KINDS", "MEMORY_MB", "Result", "fuzz"]

MEMORY_MB = 900
"""That reading one input may take."""
LONGEST_MESSAGE = 2_000
"""Characters; nobody reads more of a line in a terminal or a file."""

Write = Callable[[Path], None]
"""Puts an input into an empty folder."""
Read = Callable[[Path], Counter[str]]
"""What becomes of an input: statuses, and of how many rows."""


@dataclass(frozen=True)
class Kind:
    """A kind of input: so many of it, from a seed, and how they are read."""

    inputs: Callable[[int, int], Iterator[Write]]
    read: Read


@dataclass
class Result:
    """What became of all inputs of a kind."""

    kind: str
    inputs: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    """Of rows; `refused` counts sources."""
    slowest_ms: float = 0.0
    peak_mb: float = 0.0
    falls: list[str] = field(default_factory=list)
    """Which input, and what it did."""


def fuzz(inputs: int, seed: int, keep: Path | None = None) -> Iterator[Result]:
    """So many inputs, shared evenly among the kinds. Those that make amia fall are kept in a folder, where given."""
    shares = Counter(kind for kind, _ in zip(itertools.cycle(KINDS), range(inputs), strict=False))
    for name, count in shares.items():
        result = Result(name)
        for number, write in enumerate(KINDS[name].inputs(seed, count)):
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder) / "posts"
                source.mkdir()
                fallen = _counted(result, number, *apart(partial(_said, write, KINDS[name].read, source)))
                if fallen and keep is not None:
                    shutil.copytree(source, keep / f"{name}-{number}", symlinks=True, ignore=_endless)
        yield result


def _endless(folder: str, names: list[str]) -> list[str]:
    """Pipes, sockets and files of a terabyte, which no copy needs."""
    files = [Path(folder) / name for name in names]
    return [file.name for file in files if not file.is_dir() and not (file.is_file() and file.stat().st_size < 10**8)]


def _counted(result: Result, number: int, said: str, taken_mb: float) -> bool:
    """Add what was said of an input. True: amia fell."""
    result.inputs += 1
    told = json.loads(said) if said.startswith("{") else {"fallen": said}
    result.slowest_ms = max(result.slowest_ms, told.get("ms", 0.0))
    result.peak_mb = max(result.peak_mb, taken_mb)
    result.statuses.update(told.get("statuses", {}))
    fallen = told.get("fallen") or (f"took {taken_mb:.0f} MB" if taken_mb > MEMORY_MB else None)
    if fallen is not None:
        result.falls.append(f"{result.kind} {number}: {fallen}")
    return fallen is not None


def _said(write: Write, read: Read, source: Path) -> str:
    write(source)
    began = time.perf_counter()
    try:
        statuses = read(source)
    except Exception as error:  # noqa: BLE001 - to be told of, not to be lost with the process
        return json.dumps({"fallen": repr(error)[:500]})
    return json.dumps({"statuses": statuses, "ms": 1_000 * (time.perf_counter() - began)})


def picture(source: Path) -> Counter[str]:
    """An image file alone."""
    data = (source / "image").read_bytes()
    status = _pictured(data)
    try:
        inspect(data, SETTINGS)
    except ImageError:
        assert status != "ok", "pixels came out of a file whose header was refused"
    return Counter([status])


def corpus(source: Path) -> Counter[str]:
    """A whole source, read twice as ingest may do."""
    first, second = _rows(source), _rows(source)
    assert first == second, "another answer the second time"
    return first


def _rows(source: Path) -> Counter[str]:
    statuses: Counter[str] = Counter()
    try:
        opened = open_corpus(source)
        for raw in opened:
            statuses[_ended(raw, opened.image_root)] += 1
    except CorpusError as error:
        _speakable(str(error))
        statuses["refused"] += 1
    return statuses


def _ended(raw: RawPost | Rejected, images: Path | None) -> str:
    """The one status of a row, after everything that can be done with it before a model sees it."""
    post = raw if isinstance(raw, Rejected) else validate_post(raw)
    if isinstance(post, Rejected):
        _speakable(post.reason)
        _speakable(post.location)
        (post.id or "").encode()
        return "rejected"
    stored = [post.id, post.text, post.location, post.image_path, *(post.tokens or ()), *(post.ner_tags or ())]
    assert pa.array(stored, pa.string()).to_pylist() == stored
    assert post.text.strip()
    make_prompt(post.text)
    data = post.image
    if data is None and post.image_path is not None:
        try:
            data = fetch_image(images, post.image_path, SETTINGS)
        except ImageError as error:
            return _named(error)
    return "no_image" if data is None else _pictured(data)


def _pictured(data: bytes) -> str:
    try:
        pixels = resize_to_square(decode(data, SETTINGS), SETTINGS)
    except ImageError as error:
        return _named(error)
    assert pixels.shape == (SETTINGS.size, SETTINGS.size, 3)
    return "ok"


def _named(error: ImageError) -> str:
    assert re.fullmatch(r"[a-z_]{4,20}", error.reason), f"{error.reason!r} is no reason"
    return f"bad_image({error.reason})"


def _speakable(message: str) -> None:
    """A reason is there, fits into a file and onto a screen."""
    message.encode()
    assert message.strip(), "no reason"
    assert len(message) <= LONGEST_MESSAGE, f"a message of {len(message)} characters: {message[:200]}"


def images(kind: str, beginning: bytes, seed: int, count: int) -> Iterator[Write]:
    """Images of a format, damaged."""
    odd = [data for data, status in IMAGES.values() if status == "ok" and len(data) < 200_000]
    whole = [saved(PHOTO, kind), saved(NOISE, kind), *(data for data in odd if data.startswith(beginning))]
    for number in range(count):
        draw = Random(f"{seed} {kind} {number}")
        yield partial(_write_damaged, draw.choice(whole), draw, whole, "image")


def files(kind: str, seed: int, count: int) -> Iterator[Write]:
    """Corpora of good posts, one file of which is damaged."""
    with tempfile.TemporaryDirectory() as folder:
        good = CORPORA[kind](Path(folder), bad=False).source
        texts = sorted(file.name for file in good.iterdir() if file.is_file() and file.suffix not in (".jpg", ""))
        contents = {name: (good / name).read_bytes() for name in texts}
        for number in range(count):
            draw = Random(f"{seed} {kind} {number}")
            yield partial(_copy_damaged, good, contents, draw)


def _copy_damaged(good: Path, contents: dict[str, bytes], draw: Random, source: Path) -> None:
    for image in good.rglob("*.jpg"):
        if image.is_file() and not image.is_symlink() and image.stat().st_size < 10_000:
            (source / image.relative_to(good)).parent.mkdir(exist_ok=True)
            (source / image.relative_to(good)).write_bytes(image.read_bytes())
    largest = max(contents, key=lambda name: len(contents[name]))
    damaged = draw.choice([*contents, largest, largest])
    for name, data in contents.items():
        (source / name).write_bytes(data)
    _write_damaged(contents[damaged], draw, list(contents.values()), damaged, source)


def _write_damaged(data: bytes, draw: Random, others: list[bytes], name: str, source: Path) -> None:
    data = mutated(data, draw, others)
    (source / name).write_bytes(sealed(data) if draw.random() < 0.7 else data)


def lines(seed: int, count: int) -> Iterator[Write]:
    """Drawn JSON lines, beside images of every good and bad kind."""
    for data in sampled(json_lines, count, seed):
        yield partial(_with_images, "posts.jsonl", data)


def columns(seed: int, count: int) -> Iterator[Write]:
    """Drawn blocks of CoNLL."""
    for data in sampled(blocks, count, seed):
        yield lambda source, data=data: (source / "train.txt").write_bytes(data)


def rows(seed: int, count: int) -> Iterator[Write]:
    """Drawn tables, as Parquet and as `datasets` saves them in turn."""
    for number, table in enumerate(sampled(tables, count, seed)):
        yield partial(_write_saved if number % 2 else _write_parquet, table)


def _with_images(name: str, data: bytes, source: Path) -> None:
    source.rmdir()
    image_folder(source)
    (source / name).write_bytes(data)


def _write_parquet(table: pa.Table, source: Path) -> None:
    pq.write_table(table, source / "x.parquet")


def _write_saved(table: pa.Table, source: Path) -> None:
    (source / "state.json").write_text('{"_data_files": [{"filename": "x.arrow"}], "_split": "train"}')
    with pa.ipc.new_stream(source / "x.arrow", table.schema) as stream:
        stream.write_table(table)


KINDS: dict[str, Kind] = {
    **{
        kind.lower(): Kind(partial(images, kind, beginning), picture)
        for kind, beginning in {
            "JPEG": b"\xff\xd8\xff",
            "PNG": b"\x89PNG",
            "GIF": b"GIF8",
            "WEBP": b"RIFF",
            "BMP": b"BM",
            "TIFF": b"II*\0",
        }.items()
    },
    **{kind: Kind(partial(files, kind), corpus) for kind in CORPORA},
    "drawn lines": Kind(lines, corpus),
    "drawn blocks": Kind(columns, corpus),
    "drawn tables": Kind(rows, corpus),
}
"""By name: images that are damaged, corpora of every format that are damaged, and rows that Hypothesis draws."""


if __name__ == "__main__":
    for each in fuzz(int(sys.argv[1]), seed=0):
        print(json.dumps(vars(each)), flush=True)
