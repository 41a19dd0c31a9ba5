"""Parquet: column names, batches, and refused extension types."""

import base64
import io
import json
from pathlib import Path
from typing import Self

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amia.errors import CorpusError
from amia.posts import Post, RawPost, Rejected, validate_post
from amia.readers import open_corpus
from amia.readers.parquet import read_parquet
from amia.readers.source import LocalFile

ROWS = [
    {"id": "a", "tokens": ["Ada", "left"], "ner_tags": ["B-PER", "O"], "image": "images/a.jpg"},
    {"id": "b", "tokens": ["ok"], "ner_tags": ["O"], "image": None},
]


def write(file: Path, rows: list[dict[str, object]], **options: object) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), file, **options)
    return file


def test_reads_plain_columns(tmp_path: Path) -> None:
    corpus = open_corpus(write(tmp_path / "dev.parquet", ROWS))
    assert corpus.kind == "parquet"
    assert corpus.image_root == tmp_path
    assert list(corpus) == [
        RawPost(
            location="dev.parquet#0",
            id="a",
            split="validation",
            tokens=["Ada", "left"],
            tags=["B-PER", "O"],
            image_path="images/a.jpg",
        ),
        RawPost(location="dev.parquet#1", id="b", split="validation", tokens=["ok"], tags=["O"]),
    ]


def test_images_as_struct_and_as_bytes(tmp_path: Path, jpeg: bytes) -> None:
    images = [{"bytes": jpeg, "path": "a.jpg"}, {"bytes": None, "path": "b.jpg"}, None, {"bytes": None, "path": None}]
    for name, column in (("struct", images), ("binary", [jpeg, None, None, None])):
        file = write(tmp_path / f"{name}.parquet", [{"text": "x", "image": image} for image in column])
        rows = list(open_corpus(file))
        assert rows[0].image == jpeg
        assert rows[0].image_path is None
        assert [row.image for row in rows[1:]] == [None] * 3
        assert rows[1].image_path == ("b.jpg" if name == "struct" else None)


def test_rows_are_numbered_over_row_groups(tmp_path: Path) -> None:
    file = write(tmp_path / "x.parquet", [{"text": str(n)} for n in range(1000)], row_group_size=300)
    rows = list(open_corpus(file))
    assert [row.text for row in rows] == [str(n) for n in range(1000)]
    assert [row.location for row in rows] == [f"x.parquet#{n}" for n in range(1000)]


@pytest.mark.parametrize("row_group_size", [None, 1])
def test_file_without_rows_is_empty(tmp_path: Path, row_group_size: int | None) -> None:
    empty = pa.table({"id": pa.array([], pa.string()), "text": pa.array([], pa.string())})
    pq.write_table(empty, tmp_path / "empty.parquet", row_group_size=row_group_size)
    assert list(read_parquet(LocalFile(tmp_path / "empty.parquet", "empty"), None)) == []


def test_invalid_value_affects_its_row_only(tmp_path: Path) -> None:
    rows = list(open_corpus(write(tmp_path / "x.parquet", [{"id": 1.5, "text": "a"}, {"id": None, "text": "b"}])))
    assert isinstance(rows[0], Rejected)
    assert rows[0].location == "x.parquet#0"
    assert rows[1].text == "b"


def test_missing_text_column_lists_columns(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"looked for text, tweet, caption, tokens, words; there are label, photo"):
        list(open_corpus(write(tmp_path / "x.parquet", [{"label": 1, "photo": "a"}])))


def test_rejects_numbered_tags_without_names(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="column ner_tags holds numbers"):
        list(open_corpus(write(tmp_path / "x.parquet", [{"tokens": ["a"], "ner_tags": [0]}])))


def test_reads_files_of_datasets(tmp_path: Path, jpeg: bytes) -> None:
    features = datasets.Features(
        {
            "id": datasets.Value("int64"),
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "B-PER", "I-PER"])),
            "image": datasets.Image(),
        }
    )
    columns = {
        "id": [7, 8, 9],
        "tokens": [["Ada", "M"], ["ok"], ["x"]],
        "ner_tags": [[1, 2], [0], [-1]],
        "image": [{"bytes": jpeg, "path": "7.jpg"}, None, None],
    }
    (tmp_path / "data").mkdir()
    datasets.Dataset.from_dict(columns, features=features).to_parquet(
        tmp_path / "data" / "train-00000-of-00001.parquet"
    )
    corpus = open_corpus(tmp_path)
    assert corpus.kind == "parquet"
    rows = list(corpus)
    assert rows[0] == RawPost(
        location="data/train-00000-of-00001.parquet#0",
        id="7",
        split="train",
        tokens=["Ada", "M"],
        tags=["B-PER", "I-PER"],
        image=jpeg,
    )
    assert rows[1].tags == ["O"]
    assert rows[2] == Rejected(
        location="data/train-00000-of-00001.parquet#2", id="9", reason="tag number -1 is not one of the 3 labels"
    )


class Spy(pa.ExtensionType):
    """Extension type that runs code when a file with it is read."""

    calls = 0

    def __init__(self) -> None:
        super().__init__(pa.binary(), "amia.tests.spy")

    def __arrow_ext_serialize__(self) -> bytes:
        return b"os.system('...')"

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> Self:
        cls.calls += 1
        return cls()


def table_with_spy(nested: bool) -> pa.Table:
    column = pa.ExtensionArray.from_storage(Spy(), pa.array([b"x"]))
    if nested:
        column = pa.StructArray.from_arrays([column], names=["inner"])
    return pa.table({"text": ["hello"], "extra": column})


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_extension_types_are_refused_before_they_run(tmp_path: Path, kind: str, nested: bool) -> None:
    pa.register_extension_type(Spy())
    try:
        table = table_with_spy(nested)
        if kind == "parquet":
            pq.write_table(table, tmp_path / "x.parquet")
        else:
            (tmp_path / "state.json").write_text('{"_data_files": [{"filename": "x.arrow"}]}')
            with pa.ipc.new_stream(tmp_path / "x.arrow", table.schema) as stream:
                stream.write_table(table)
        Spy.calls = 0
        with pytest.raises(CorpusError, match="extension type"):
            list(open_corpus(tmp_path))
        assert Spy.calls == 0
        if kind == "parquet":  # opening the same file without the check runs its code
            pq.ParquetFile(tmp_path / "x.parquet").close()
            assert Spy.calls > 0
    finally:
        pa.unregister_extension_type("amia.tests.spy")


def test_unregistered_extension_type_is_refused(tmp_path: Path) -> None:
    field = pa.field(
        "image",
        pa.binary(),
        metadata={"ARROW:extension:name": "ray.data.arrow_pickled_object", "ARROW:extension:metadata": "x"},
    )
    pq.write_table(
        pa.table([pa.array(["a"]), pa.array([b"x"])], schema=pa.schema([pa.field("text", pa.string()), field])),
        tmp_path / "x.parquet",
    )
    with pytest.raises(CorpusError, match="extension type"):
        list(open_corpus(tmp_path))


def test_rejects_invalid_schema_encoding(tmp_path: Path) -> None:
    file = write(tmp_path / "x.parquet", [{"text": "a"}])
    data = file.read_bytes()
    at = data.index(b"ARROW:schema") + 20
    file.write_bytes(data[:at] + b"!" + data[at + 1 :])
    with pytest.raises(CorpusError, match="Arrow schema cannot be read"):
        list(open_corpus(tmp_path))
    at = data.index(b"ARROW:schema") + len(b"ARROW:schema")
    file.write_bytes(data[:at] + b"\x08" + data[at + 1 :])
    with pytest.raises(CorpusError, match="an encoding that no library writes"):
        list(open_corpus(tmp_path))


def test_searches_the_schema_that_arrow_reads(tmp_path: Path) -> None:
    from amia.readers.safety.arrow_streams import _schema_after

    file = write(tmp_path / "x.parquet", [{"text": "a"}])
    footer = file.read_bytes()
    at = footer.index(b"ARROW:schema") + len(b"ARROW:schema")
    stored = pq.read_metadata(file).metadata[b"ARROW:schema"]
    assert _schema_after(footer, at, file) == base64.b64decode(stored)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1PAR1", b"x" * 100, b"PAR1" + b"\xff" * 8 + b"PAR1"])
def test_rejects_files_that_are_not_parquet(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(CorpusError, match=r"x\.parquet"):
        list(open_corpus(tmp_path))


def test_damaged_files_raise_corpus_errors_only(tmp_path: Path) -> None:
    import numpy as np

    random = np.random.default_rng(0)
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS * 50), buffer)
    intact = buffer.getvalue()
    num_errors = 0
    for _ in range(150):
        data = bytearray(intact)
        for _ in range(4):
            data[int(random.integers(4, len(data) - 8))] = int(random.integers(0, 256))
        (tmp_path / "x.parquet").write_bytes(data)
        try:
            rows = list(open_corpus(tmp_path))
        except CorpusError as error:
            num_errors += "x.parquet" in str(error)
        else:
            assert all(isinstance(row, Rejected) or isinstance(validate_post(row), Post | Rejected) for row in rows)
    assert num_errors > 20


def test_invalid_utf_8_affects_its_row_only(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"\xff\xfe", b"c"]).buffers())
    pq.write_table(pa.table({"text": bad}), tmp_path / "x.parquet")
    rows = list(open_corpus(tmp_path))
    assert rows[1] == Rejected(location="x.parquet#1", id=None, reason="not valid UTF-8")
    assert [rows[0].text, rows[2].text] == ["a", "c"]


def test_unknown_features_are_ignored(tmp_path: Path) -> None:
    for features in ("{", "[]", json.dumps({"info": {"features": {"tags": {"feature": [[]]}, "x": 3}}}), "[" * 100_000):
        table = pa.Table.from_pylist([{"text": "a"}]).replace_schema_metadata({"huggingface": features})
        pq.write_table(table, tmp_path / "x.parquet")
        assert [row.text for row in open_corpus(tmp_path)] == ["a"]


def test_memory_does_not_grow_with_the_row_group(tmp_path: Path) -> None:
    rows = [{"text": str(n), "image": bytes([n % 256]) * 40_000} for n in range(1_000)]
    write(tmp_path / "x.parquet", rows, compression="none", use_dictionary=False, write_batch_size=64)
    del rows
    before = pa.total_allocated_bytes()
    highest = 0
    for number, _ in enumerate(open_corpus(tmp_path)):
        if number % 100 == 0:
            highest = max(highest, pa.total_allocated_bytes() - before)
    assert highest < 10_000_000 < 40_000_000 < (tmp_path / "x.parquet").stat().st_size
