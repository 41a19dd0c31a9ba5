"""Mutated files and generated rows by the thousands, each read in a separate process.

    python -m tests.hostile.fuzz [inputs]

prints one line of JSON per kind; `tests/benchmarks/bench_fuzz.py` prints a table.

For any input, a row ends in exactly one status, with a reason if it is bad, or the whole source is refused with an
error of amia. Anything else is a failure: another exception, a dead process, an exceeded limit.
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
from tests.hostile.corpora import CORPORA, image_folder
from tests.hostile.image_bytes import save_as
from tests.hostile.images import IMAGES, NOISE, PHOTO
from tests.hostile.isolated import SETTINGS, run_isolated
from tests.hostile.mutations import fix_checksums, mutate
from tests.hostile.strategies import blocks, json_lines, sample, tables

__all__ = ["KINDS", "MEMORY_MB", "Result", "fuzz"]

MEMORY_MB = 900
"""Memory limit of reading one input."""
MAX_MESSAGE = 2_000
"""Characters of a message."""

Write = Callable[[Path], None]
"""Writes an input into an empty folder."""
Read = Callable[[Path], Counter[str]]
"""Reads an input; returns the number of rows by status."""


@dataclass(frozen=True)
class Kind:
    """A kind of input: a generator of inputs from a seed and a count, and a function that reads them."""

    inputs: Callable[[int, int], Iterator[Write]]
    read: Read


@dataclass
class Result:
    """Results of all inputs of a kind."""

    kind: str
    inputs: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    """Number of rows by status; `refused` counts sources."""
    slowest_ms: float = 0.0
    peak_mb: float = 0.0
    failures: list[str] = field(default_factory=list)
    """Failed inputs with their errors."""


def fuzz(inputs: int, seed: int, keep: Path | None = None) -> Iterator[Result]:
    """Read `inputs` inputs, distributed evenly among the kinds. Inputs that fail are copied to `keep`, if given."""
    shares = Counter(kind for kind, _ in zip(itertools.cycle(KINDS), range(inputs), strict=False))
    for name, count in shares.items():
        result = Result(name)
        for number, write in enumerate(KINDS[name].inputs(seed, count)):
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder) / "posts"
                source.mkdir()
                failed = _add(result, number, *run_isolated(partial(_read_to_json, write, KINDS[name].read, source)))
                if failed and keep is not None:
                    shutil.copytree(source, keep / f"{name}-{number}", symlinks=True, ignore=_special_files)
        yield result


def _special_files(folder: str, names: list[str]) -> list[str]:
    """Return pipes, sockets and huge files, which are not copied."""
    files = [Path(folder) / name for name in names]
    return [file.name for file in files if not file.is_dir() and not (file.is_file() and file.stat().st_size < 10**8)]


def _add(result: Result, number: int, output: str, memory_mb: float) -> bool:
    """Add the output of one input to the result; return True if it failed."""
    result.inputs += 1
    outcome = json.loads(output) if output.startswith("{") else {"failure": output}
    result.slowest_ms = max(result.slowest_ms, outcome.get("ms", 0.0))
    result.peak_mb = max(result.peak_mb, memory_mb)
    result.statuses.update(outcome.get("statuses", {}))
    failure = outcome.get("failure") or (f"took {memory_mb:.0f} MB" if memory_mb > MEMORY_MB else None)
    if failure is not None:
        result.failures.append(f"{result.kind} {number}: {failure}")
    return failure is not None


def _read_to_json(write: Write, read: Read, source: Path) -> str:
    write(source)
    start = time.perf_counter()
    try:
        statuses = read(source)
    except Exception as error:  # noqa: BLE001 - reported instead of lost with the process
        return json.dumps({"failure": repr(error)[:500]})
    return json.dumps({"statuses": statuses, "ms": 1_000 * (time.perf_counter() - start)})


def read_image_file(source: Path) -> Counter[str]:
    """Read a single image file."""
    data = (source / "image").read_bytes()
    status = _image_status(data)
    try:
        inspect(data, SETTINGS)
    except ImageError:
        assert status != "ok", "decode accepted a file whose header inspect refused"
    return Counter([status])


def read_corpus(source: Path) -> Counter[str]:
    """Read a source twice, as ingest may do."""
    first, second = _count_statuses(source), _count_statuses(source)
    assert first == second, "the second reading differs"
    return first


def _count_statuses(source: Path) -> Counter[str]:
    statuses: Counter[str] = Counter()
    try:
        opened = open_corpus(source)
        for raw in opened:
            statuses[_final_status(raw, opened.image_root)] += 1
    except CorpusError as error:
        _check_message(str(error))
        statuses["refused"] += 1
    return statuses


def _final_status(raw: RawPost | Rejected, images: Path | None) -> str:
    """Return the status of a row after all processing up to the models."""
    post = raw if isinstance(raw, Rejected) else validate_post(raw)
    if isinstance(post, Rejected):
        _check_message(post.reason)
        _check_message(post.location)
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
            return _bad_image(error)
    return "no_image" if data is None else _image_status(data)


def _image_status(data: bytes) -> str:
    try:
        pixels = resize_to_square(decode(data, SETTINGS), SETTINGS)
    except ImageError as error:
        return _bad_image(error)
    assert pixels.shape == (SETTINGS.size, SETTINGS.size, 3)
    return "ok"


def _bad_image(error: ImageError) -> str:
    assert re.fullmatch(r"[a-z_]{4,20}", error.reason), f"{error.reason!r} is no reason"
    return f"bad_image({error.reason})"


def _check_message(message: str) -> None:
    """Check that a message is not empty, encodable, and not too long."""
    message.encode()
    assert message.strip(), "no reason"
    assert len(message) <= MAX_MESSAGE, f"a message of {len(message)} characters: {message[:200]}"


def images(kind: str, signature: bytes, seed: int, count: int) -> Iterator[Write]:
    """Generate mutated images of a format."""
    valid = [data for data, status in IMAGES.values() if status == "ok" and len(data) < 200_000]
    originals = [save_as(PHOTO, kind), save_as(NOISE, kind), *(data for data in valid if data.startswith(signature))]
    for number in range(count):
        random = Random(f"{seed} {kind} {number}")
        yield partial(_write_mutated, random.choice(originals), random, originals, "image")


def files(kind: str, seed: int, count: int) -> Iterator[Write]:
    """Generate corpora of valid posts with one mutated file."""
    with tempfile.TemporaryDirectory() as folder:
        good = CORPORA[kind](Path(folder), bad=False).source
        texts = sorted(file.name for file in good.iterdir() if file.is_file() and file.suffix not in (".jpg", ""))
        contents = {name: (good / name).read_bytes() for name in texts}
        for number in range(count):
            random = Random(f"{seed} {kind} {number}")
            yield partial(_copy_mutated, good, contents, random)


def _copy_mutated(good: Path, contents: dict[str, bytes], random: Random, source: Path) -> None:
    for image in good.rglob("*.jpg"):
        if image.is_file() and not image.is_symlink() and image.stat().st_size < 10_000:
            (source / image.relative_to(good)).parent.mkdir(exist_ok=True)
            (source / image.relative_to(good)).write_bytes(image.read_bytes())
    largest = max(contents, key=lambda name: len(contents[name]))
    name = random.choice([*contents, largest, largest])
    for other, data in contents.items():
        (source / other).write_bytes(data)
    _write_mutated(contents[name], random, list(contents.values()), name, source)


def _write_mutated(data: bytes, random: Random, others: list[bytes], name: str, source: Path) -> None:
    data = mutate(data, random, others)
    (source / name).write_bytes(fix_checksums(data) if random.random() < 0.7 else data)


def lines(seed: int, count: int) -> Iterator[Write]:
    """Generate JSON lines, next to images of all kinds."""
    for data in sample(json_lines, count, seed):
        yield partial(_with_images, "posts.jsonl", data)


def columns(seed: int, count: int) -> Iterator[Write]:
    """Generate CoNLL files."""
    for data in sample(blocks, count, seed):
        yield lambda source, data=data: (source / "train.txt").write_bytes(data)


def rows(seed: int, count: int) -> Iterator[Write]:
    """Generate tables, alternately as Parquet and as `datasets` saves them."""
    for number, table in enumerate(sample(tables, count, seed)):
        yield partial(_write_hf_disk if number % 2 else _write_parquet, table)


def _with_images(name: str, data: bytes, source: Path) -> None:
    source.rmdir()
    image_folder(source)
    (source / name).write_bytes(data)


def _write_parquet(table: pa.Table, source: Path) -> None:
    pq.write_table(table, source / "x.parquet")


def _write_hf_disk(table: pa.Table, source: Path) -> None:
    (source / "state.json").write_text('{"_data_files": [{"filename": "x.arrow"}], "_split": "train"}')
    with pa.ipc.new_stream(source / "x.arrow", table.schema) as stream:
        stream.write_table(table)


KINDS: dict[str, Kind] = {
    **{
        kind.lower(): Kind(partial(images, kind, signature), read_image_file)
        for kind, signature in {
            "JPEG": b"\xff\xd8\xff",
            "PNG": b"\x89PNG",
            "GIF": b"GIF8",
            "WEBP": b"RIFF",
            "BMP": b"BM",
            "TIFF": b"II*\0",
        }.items()
    },
    **{kind: Kind(partial(files, kind), read_corpus) for kind in CORPORA},
    "generated lines": Kind(lines, read_corpus),
    "generated blocks": Kind(columns, read_corpus),
    "generated tables": Kind(rows, read_corpus),
}
"""Kinds by name: mutated images, mutated corpora of every format, and rows generated by Hypothesis."""


if __name__ == "__main__":
    for result in fuzz(int(sys.argv[1]), seed=0):
        print(json.dumps(vars(result)), flush=True)
