"""JSON lines: one object per line, and invalid lines with their reason."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.errors import ImageError
from amia.images import ImageSettings, fetch_image
from amia.posts import Post, RawPost, Rejected, validate_post
from amia.readers import open_corpus


def write(folder: Path, *lines: object, name: str = "train.jsonl") -> Path:
    file = folder / name
    file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines), "utf-8")
    return file


def test_reads_every_field(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        {"id": "a", "split": "dev", "tokens": ["x", "y"], "tags": ["O", "B-PER"], "image": "img/a.jpg"},
        {"tweet_id": 12345678901234567890, "text": "hello\u2028there", "image": None},
        {"words": ["x"], "ner_tags": ["O"], "file_name": "b.jpg", "unknown": {"deep": [1]}},
        "",
        {"text": "", "id": ""},
    )
    rows = list(open_corpus(file))
    assert rows[0] == RawPost(
        location="train.jsonl:1",
        id="a",
        split="dev",
        tokens=["x", "y"],
        tags=["O", "B-PER"],
        image_path="img/a.jpg",
    )
    assert rows[1] == RawPost(
        location="train.jsonl:2", id="12345678901234567890", split="train", text="hello\u2028there"
    )
    assert (rows[2].tokens, rows[2].tags, rows[2].image_path) == (["x"], ["O"], "b.jpg")
    assert rows[3].location == "train.jsonl:5"
    assert validate_post(rows[3]) == Rejected(location="train.jsonl:5", id=None, reason="no text")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not valid JSON"),
        ("[1]", "not a JSON object"),
        ('{"text": "x", "id": NaN}', "NaN is not JSON"),
        ('{"text": "x", "id": 1.5}', "id 1.5 is a float"),
        ('{"text": "x", "id": true}', "id is a boolean"),
        ('{"text": "x", "id": ' + "9" * 5000 + "}", "not valid JSON"),
        ('{"text": 7}', "text is a number, not a string"),
        ('{"tokens": "x y"}', "tokens is a string, not a list of strings"),
        ('{"tokens": ["x", null]}', "tokens holds null"),
        ('{"tokens": ["x"], "tags": [1]}', "tags holds a number"),
        ('{"text": "x", "split": 3}', "split is a number"),
        ('{"text": "x", "image": 3}', "image is a number"),
        ('{"text": "x", "image": ["a.jpg"]}', "image is a list"),
        ('{"text": "\\ud800"}', "text is not valid Unicode"),
        ('{"text": "x", "id": "\\udfff"}', "id is not valid Unicode"),
        ('{"text": "x", "image": "\\udfff.jpg"}', "image is not valid Unicode"),
        ("[" * 100_000, "not valid JSON"),
        ('{"text": "' + "x" * (1 << 20) + '"}', "a line of more than"),
    ],
)
def test_invalid_line_affects_itself_only(tmp_path: Path, line: str, reason: str) -> None:
    rows = list(open_corpus(write(tmp_path, {"id": 1, "text": "a"}, line, {"id": 3, "text": "c"})))
    assert isinstance(rows[1], Rejected)
    assert rows[1].location == "train.jsonl:2"
    assert reason in rows[1].reason
    assert len(rows[1].reason) < 300
    assert [rows[0].id, rows[2].id] == ["1", "3"]


def test_invalid_utf_8(tmp_path: Path) -> None:
    (tmp_path / "test-00001.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n{"text": "\xff"}\r\n{"text": "c"}')
    rows = list(open_corpus(tmp_path))
    assert [getattr(row, "text", None) for row in rows] == ["a", None, "c"]
    assert rows[1].reason == "not valid UTF-8"
    assert rows[0].split == "test"


@pytest.mark.parametrize("path", ["/etc/hostname", "../outside.jpg"])
def test_image_outside_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    corpus = open_corpus(write(tmp_path, {"text": "a", "image": path}))
    (raw,) = corpus
    assert isinstance(validate_post(raw), Post)
    assert raw.image_path == path
    assert corpus.image_root == tmp_path
    with pytest.raises(ImageError) as caught:
        fetch_image(corpus.image_root, raw.image_path, ImageSettings())
    assert caught.value.reason == "outside_root"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.sampled_from(["bytes", "path"]), SCALARS)
NAMES = st.sampled_from(["id", "split", "text", "tokens", "tags", "ner_tags", "image", "other"])


@given(st.lists(st.dictionaries(NAMES, JSON), max_size=4))
def test_any_json_gives_one_row_per_line(tmp_path_factory: pytest.TempPathFactory, records: list[object]) -> None:
    rows = list(open_corpus(write(tmp_path_factory.getbasetemp(), *records, name="any.jsonl")))
    assert len(rows) == len(records)
    for row in rows:
        assert isinstance(row, Rejected) or isinstance(validate_post(row), Post | Rejected)
