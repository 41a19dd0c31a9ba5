"""Streams of Arrow that lie about where their strings are: read without care they end the process."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from amia.errors import CorpusError
from amia.readers import open_corpus


def saved(folder: Path, batch: pa.RecordBatch, **options: object) -> Path:
    (folder / "state.json").write_text('{"_data_files": [{"filename": "x.arrow"}]}')
    with pa.ipc.new_stream(folder / "x.arrow", batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as stream:
        stream.write_batch(batch)
    return folder / "x.arrow"


def numbers(*values: int) -> bytes:
    return np.array(values, "<i4").tobytes()


STRINGS = {"text": pa.array(["hello", "world"])}
LISTS = {"tokens": pa.array([["hello"], ["world"]])}
NAMED = {"text": pa.array(["aaaa", "b", "aaaa"]).dictionary_encode()}
NAMED_LISTS = {"tokens": pa.ListArray.from_arrays(pa.array([0, 3], pa.int32()), NAMED["text"])}
PICTURES = {"text": pa.array(["a", "b"]), "image": pa.array([{"bytes": b"hello", "path": None}] * 2)}


@pytest.mark.parametrize(
    ("columns", "honest", "lie"),
    [
        (STRINGS, numbers(0, 5, 10), numbers(0, 5, 300)),  # what lies behind the file's strings
        (STRINGS, numbers(0, 5, 10), numbers(0, 5, 2_000_000_000)),  # SIGBUS
        (STRINGS, numbers(0, 5, 10), numbers(0, -70_000_000, 10)),
        (STRINGS, numbers(0, 5, 10), numbers(0, 10, 5)),
        (LISTS, numbers(0, 1, 2), numbers(0, 1, 100_000_000)),
        (NAMED, numbers(0, 1, 0), numbers(0, 1_000_000_000, 0)),
        (NAMED, numbers(0, 1, 0), numbers(0, -1, 0)),
        (NAMED, numbers(0, 4, 5), numbers(0, 4, 50_000)),
        (NAMED_LISTS, numbers(0, 1, 0), numbers(0, 1_000_000_000, 0)),
        (PICTURES, numbers(0, 5, 10), numbers(0, 5, 2_000_000_000)),
    ],
)
def test_offsets_that_point_outside(tmp_path: Path, columns: dict[str, pa.Array], honest: bytes, lie: bytes) -> None:
    file = saved(tmp_path, pa.record_batch(columns))
    assert len(list(open_corpus(tmp_path))) == len(next(iter(columns.values())))
    data = file.read_bytes()
    assert honest in data
    head, _, tail = data.rpartition(honest)
    file.write_bytes(head + lie + tail)
    with pytest.raises(CorpusError, match=r"x\.arrow: column (text|tokens|image) is damaged"):
        list(open_corpus(tmp_path))


def test_strings_that_are_not_utf_8_cost_their_row_only(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"\xff\xfe", b"c"]).buffers())
    saved(tmp_path, pa.record_batch({"text": bad}))
    assert [getattr(row, "text", None) for row in open_corpus(tmp_path)] == ["a", None, "c"]


@pytest.mark.promise(35)
@pytest.mark.parametrize("codec", ["zstd", "lz4"])
@pytest.mark.parametrize("columns", [STRINGS, NAMED])
def test_packed_batches_are_refused(tmp_path: Path, columns: dict[str, pa.Array], codec: str) -> None:
    bulk = {"text": pa.concat_arrays([columns["text"]] * 1_000)}
    saved(tmp_path, pa.record_batch(bulk), compression=codec)
    with pytest.raises(CorpusError, match=r"x\.arrow: its batches are compressed"):
        list(open_corpus(tmp_path))


def test_rows_that_take_no_bytes(tmp_path: Path) -> None:
    saved(tmp_path, pa.RecordBatch.from_arrays([pa.nulls(2**24)], ["text"]))
    with pytest.raises(CorpusError, match=r"x\.arrow: 16777216 rows in a file of \d+ bytes"):
        list(open_corpus(tmp_path))
