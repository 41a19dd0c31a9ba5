"""Parquet files of a few kilobytes that decompress to gigabytes are refused; honest ones pass."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amia.errors import CorpusError
from amia.posts import RawPost, Rejected, validate_post
from amia.readers import open_corpus
from amia.readers.safety import parquet_pages
from amia.readers.safety.parquet_pages import read_pages
from amia.readers.source import LocalFile


def repeated(value: str, times: int) -> pa.Array:
    """Return one row: a list that repeats a value, which is stored once."""
    indices = pa.DictionaryArray.from_arrays(pa.array(np.zeros(times, np.int32)), pa.array([value]))
    return pa.ListArray.from_arrays(pa.array([0, times], pa.int32()), indices)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("dictionary", [False, True])
def test_sizes_agree_with_the_footer(tmp_path: Path, version: str, compression: str, dictionary: bool) -> None:
    random = np.random.default_rng(0)
    rows = [
        {"id": f"{n:06}", "tokens": [f"w{k}" for k in random.integers(0, 9_000, 20)], "image": random.bytes(300)}
        for n in range(4_000)
    ]
    file = tmp_path / "x.parquet"
    options = {"data_page_version": version, "compression": compression, "use_dictionary": dictionary}
    pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=1_500, data_page_size=20_000, **options)
    metadata = pq.read_metadata(file)
    groups = range(metadata.num_row_groups)
    for index, column in enumerate(["id", "tokens", "image"]):
        pages = read_pages(LocalFile(file, file.name), metadata, [column], groups)
        sizes = [metadata.row_group(group).column(index).total_uncompressed_size for group in groups]
        assert 0 < pages.max_bytes <= max(sizes)  # sizes of the footer include the page headers
        assert pages.dictionary_lists == (["tokens.list.element"] if dictionary and column == "tokens" else [])
    assert [(row.id, row.tokens, row.image) for row in open_corpus(file)] == [tuple(row.values()) for row in rows]


@pytest.mark.parametrize("limit", [1_000, 50_000])
def test_lists_with_partial_dictionary(tmp_path: Path, limit: int) -> None:
    rows = [{"tokens": [f"word{n * k % 9_973}" for k in range(20)]} for n in range(2_000)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet", dictionary_pagesize_limit=limit)
    assert [row.tokens for row in open_corpus(tmp_path)] == [row["tokens"] for row in rows]


@pytest.mark.promise(35)
@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (pa.table({"text": ["x" * 9_000_000]}), "bytes of column text decompress to 90000"),
        (pa.table({"text": ["x"] * 1_200_000}), "column text has .* values in a file of"),
        (pa.table({"tokens": repeated("x", 2_000_000)}), "column tokens.list.element has .* values in a file of"),
    ],
)
def test_rejects_decompression_bombs(
    tmp_path: Path, table: pa.Table, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_pages, "MAX_DECOMPRESSED_BYTES", 8_000_000)  # 256 MB would take seconds to write
    pq.write_table(table, tmp_path / "x.parquet", compression="zstd")
    assert (tmp_path / "x.parquet").stat().st_size < 20_000
    del table
    before = pa.total_allocated_bytes()
    with pytest.raises(CorpusError, match=rf"x\.parquet: .*{reason}"):
        list(open_corpus(tmp_path))
    assert pa.total_allocated_bytes() - before < 1_000_000


def test_dictionary_value_is_one_object(tmp_path: Path) -> None:
    pq.write_table(pa.table({"tokens": repeated("x" * 5_000_000, 90_000)}), tmp_path / "x.parquet", compression="zstd")
    (raw,) = open_corpus(tmp_path)
    assert isinstance(raw, RawPost)
    assert len({id(token) for token in raw.tokens}) == 1  # 450 GB otherwise
    assert validate_post(raw) == Rejected(location="x.parquet#0", id=None, reason="more than 1048576 characters")


def test_oversized_list_affects_its_row_only(tmp_path: Path) -> None:
    lists = pa.concat_arrays([repeated("x", 3), repeated("x", 100_001), pa.nulls(1, repeated("x", 1).type)])
    pq.write_table(pa.table({"text": ["a", "b", "c"], "tokens": lists}), tmp_path / "x.parquet")
    rows = list(open_corpus(tmp_path))
    assert [rows[0].tokens, rows[2].tokens] == [["x", "x", "x"], None]
    assert rows[1].reason == "tokens is a list of more than 100000 values, not a list of strings"


def test_large_values_are_read_in_small_batches(tmp_path: Path) -> None:
    images = pa.array([bytes(30_000_000)] * 12)
    table = pa.table({"text": [str(n) for n in range(12)], "image": images})
    pq.write_table(table, tmp_path / "x.parquet", compression="zstd")
    del table, images
    before = pa.total_allocated_bytes()
    highest = 0
    for row in open_corpus(tmp_path):
        assert len(row.image) == 30_000_000
        highest = max(highest, pa.total_allocated_bytes() - before)
    assert highest < 250_000_000


def test_rejects_invalid_page_headers(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": ["hello"]}), file, compression="none", use_dictionary=False)
    intact = file.read_bytes()
    for junk in (b"\xff" * 20, b"\x15" * 20, b"\x1c" * 20, b"\x19" * 20, b"\x00" * 20, b"\x15\x00\x15\x01\x15\x01"):
        file.write_bytes(intact[:4] + junk + intact[4 + len(junk) :])
        with pytest.raises(CorpusError, match=r"x\.parquet: the pages of column text are damaged"):
            list(open_corpus(tmp_path))


@pytest.mark.parametrize("name", ["text", "tags"])
def test_rejects_duplicate_columns(tmp_path: Path, name: str) -> None:
    columns = [pa.array(["a"]), pa.array(["b"]), pa.array(["c"])]
    pq.write_table(pa.Table.from_arrays(columns, names=["text", name, "tags"]), tmp_path / "x.parquet")
    with pytest.raises(CorpusError, match=rf"x\.parquet: two columns are called {name}"):
        list(open_corpus(tmp_path))
