"""Splits of a corpus: read one after the other they are the corpus, however it is cut."""

import gzip
import json
import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amia.errors import CorpusError
from amia.posts import RawPost, Rejected
from amia.readers import Corpus, open_corpus
from amia.readers.image_folder import ImageFolder
from amia.readers.safety.json_lines import MAX_LINE_BYTES, Span
from amia.readers.splits import Split, cut, read_split, with_line_offset

LINES = [b'{"text": "a"}', b'{"id": "1", "text": "\xe2\x80\xa8"}', b"", b"  ", b"{", b'{"text": ""}\r', b"\xff", b"\r"]


def read_all(corpus: Corpus, splits: list[Split]) -> list[RawPost | Rejected]:
    """Read all splits, and give the lines of those that begin within a file their number in the file."""
    rows: list[RawPost | Rejected] = []
    offset = 0
    for split in splits:
        span = Span()
        is_inside = bool(split.pieces and split.pieces[0].start) and corpus.kind == "jsonl"
        offset = offset if is_inside else 0
        for row in read_split(corpus, split, corpus.list_images(), span):
            fields = {name: getattr(row, name) for name in type(row).__slots__}
            rows.append(type(row)(**fields | {"location": with_line_offset(row.location, offset)}))
        offset += span.lines
    return rows


@settings(max_examples=60, deadline=None)
@given(
    files=st.lists(st.lists(st.sampled_from(LINES), max_size=12), min_size=1, max_size=4),
    ends=st.booleans(),
    split_bytes=st.integers(1, 200),
)
def test_json_lines_at_any_cut(files: list[list[bytes]], ends: bool, split_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, lines in enumerate(files):
            content = b"\n".join(lines) + (b"\n" if ends and lines else b"")
            Path(folder, f"{number}.jsonl").write_bytes(content)
        corpus = open_corpus(folder)
        assert read_all(corpus, cut(corpus, split_bytes)) == list(corpus)


def test_line_that_is_longer_than_a_split(tmp_path: Path) -> None:
    long = json.dumps({"text": "x" * 3000}).encode()
    too_long = b"y" * (MAX_LINE_BYTES + 10)
    (tmp_path / "x.jsonl").write_bytes(b"\n".join([LINES[0], long, too_long, LINES[1]]))
    corpus = open_corpus(tmp_path)
    rows = list(corpus)
    assert len(rows) == 4
    for split_bytes in (700, 90_000):
        assert read_all(corpus, cut(corpus, split_bytes)) == rows


@pytest.mark.parametrize("split_bytes", [1, 500, 3_000, 10**9])
def test_parquet_between_row_groups(tmp_path: Path, split_bytes: int) -> None:
    for file, rows in enumerate((50, 1, 30)):
        table = pa.table({"text": [f"post {file} {number}" * 9 for number in range(rows)]})
        pq.write_table(table, tmp_path / f"{file}.parquet", row_group_size=8)
    corpus = open_corpus(tmp_path)
    splits = cut(corpus, split_bytes)
    assert (len(splits) == 1) == (split_bytes == 10**9)
    assert read_all(corpus, splits) == list(corpus)
    assert len(list(corpus)) == 81


def test_small_files_are_read_together_and_compressed_ones_as_a_whole(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.jsonl").write_bytes(LINES[0] + b"\n")
    # Its name does not tell that it is compressed.
    (tmp_path / "a.jsonl").write_bytes(gzip.compress(os.urandom(99).hex().encode() + b"\n" + LINES[0]))
    corpus = open_corpus(tmp_path)
    splits = cut(corpus, 3 * len(LINES[0]) + 3)
    assert [len(split.pieces) for split in splits] == [3, 3, 3, 1]
    assert read_all(corpus, splits) == list(corpus)


def test_changed_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(LINES[0] + b"\n")
    corpus = open_corpus(tmp_path)
    (split,) = cut(corpus, 100)
    rows = read_split(corpus, split, ImageFolder(None), Span())
    assert next(rows)
    file.write_bytes(LINES[0] + b"\n" + LINES[1])
    with pytest.raises(CorpusError, match=r"x\.jsonl was changed while it was being read"):
        list(rows)
    with pytest.raises(CorpusError, match="was changed"):
        list(read_split(corpus, split, ImageFolder(None), Span()))
