"""Arrow streams with invalid offsets, which crash the process if they are read without checks."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from amia.errors import CorpusError
from amia.readers import open_corpus


def save_stream(folder: Path, batch: pa.RecordBatch, **options: object) -> Path:
    (folder / "state.json").write_text('{"_data_files": [{"filename": "x.arrow"}]}')
    with pa.ipc.new_stream(folder / "x.arrow", batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as stream:
        stream.write_batch(batch)
    return folder / "x.arrow"


def int32_bytes(*values: int) -> bytes:
    return np.array(values, "<i4").tobytes()


STRINGS = {"text": pa.array(["hello", "world"])}
LISTS = {"tokens": pa.array([["hello"], ["world"]])}
DICTIONARY = {"text": pa.array(["aaaa", "b", "aaaa"]).dictionary_encode()}
DICTIONARY_LISTS = {"tokens": pa.ListArray.from_arrays(pa.array([0, 3], pa.int32()), DICTIONARY["text"])}
IMAGES = {"text": pa.array(["a", "b"]), "image": pa.array([{"bytes": b"hello", "path": None}] * 2)}


@pytest.mark.parametrize(
    ("columns", "valid", "invalid"),
    [
        (STRINGS, int32_bytes(0, 5, 10), int32_bytes(0, 5, 300)),  # bytes after the strings of the file
        (STRINGS, int32_bytes(0, 5, 10), int32_bytes(0, 5, 2_000_000_000)),  # SIGBUS
        (STRINGS, int32_bytes(0, 5, 10), int32_bytes(0, -70_000_000, 10)),
        (STRINGS, int32_bytes(0, 5, 10), int32_bytes(0, 10, 5)),
        (LISTS, int32_bytes(0, 1, 2), int32_bytes(0, 1, 100_000_000)),
        (DICTIONARY, int32_bytes(0, 1, 0), int32_bytes(0, 1_000_000_000, 0)),
        (DICTIONARY, int32_bytes(0, 1, 0), int32_bytes(0, -1, 0)),
        (DICTIONARY, int32_bytes(0, 4, 5), int32_bytes(0, 4, 50_000)),
        (DICTIONARY_LISTS, int32_bytes(0, 1, 0), int32_bytes(0, 1_000_000_000, 0)),
        (IMAGES, int32_bytes(0, 5, 10), int32_bytes(0, 5, 2_000_000_000)),
    ],
)
def test_rejects_offsets_out_of_bounds(
    tmp_path: Path, columns: dict[str, pa.Array], valid: bytes, invalid: bytes
) -> None:
    file = save_stream(tmp_path, pa.record_batch(columns))
    assert len(list(open_corpus(tmp_path))) == len(next(iter(columns.values())))
    data = file.read_bytes()
    assert valid in data
    head, _, tail = data.rpartition(valid)
    file.write_bytes(head + invalid + tail)
    with pytest.raises(CorpusError, match=r"x\.arrow: column (text|tokens|image) is damaged"):
        list(open_corpus(tmp_path))


def test_invalid_utf_8_affects_its_row_only(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"\xff\xfe", b"c"]).buffers())
    save_stream(tmp_path, pa.record_batch({"text": bad}))
    assert [getattr(row, "text", None) for row in open_corpus(tmp_path)] == ["a", None, "c"]


@pytest.mark.promise(35)
@pytest.mark.parametrize("codec", ["zstd", "lz4"])
@pytest.mark.parametrize("columns", [STRINGS, DICTIONARY])
def test_rejects_compressed_batches(tmp_path: Path, columns: dict[str, pa.Array], codec: str) -> None:
    bulk = {"text": pa.concat_arrays([columns["text"]] * 1_000)}
    save_stream(tmp_path, pa.record_batch(bulk), compression=codec)
    with pytest.raises(CorpusError, match=r"x\.arrow: its batches are compressed"):
        list(open_corpus(tmp_path))


def test_rejects_many_rows_without_bytes(tmp_path: Path) -> None:
    save_stream(tmp_path, pa.RecordBatch.from_arrays([pa.nulls(2**24)], ["text"]))
    with pytest.raises(CorpusError, match=r"x\.arrow: 16777216 rows in a file of \d+ bytes"):
        list(open_corpus(tmp_path))
