"""Data sets of `datasets.save_to_disk`, read without `datasets`; and the hub, read with it."""

import subprocess
import sys
from pathlib import Path

import datasets
import pytest

from amia.errors import CorpusError
from amia.posts import RawPost
from amia.readers import open_corpus


@pytest.fixture(autouse=True)
def _disable_progress_bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()


@pytest.fixture
def posts(jpeg: bytes) -> datasets.Dataset:
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "B-PER"])),
            "image": datasets.Image(),
        }
    )
    columns = {
        "id": ["a", "b"],
        "tokens": [["Ada", "left"], ["ok"]],
        "ner_tags": [[1, 0], [0]],
        "image": [{"bytes": jpeg, "path": "a.jpg"}, None],
    }
    return datasets.Dataset.from_dict(columns, features=features)


def expected_posts(name: str, split: str | None, jpeg: bytes) -> list[RawPost]:
    return [
        RawPost(location=f"{name}#0", id="a", split=split, tokens=["Ada", "left"], tags=["B-PER", "O"], image=jpeg),
        RawPost(location=f"{name}#1", id="b", split=split, tokens=["ok"], tags=["O"]),
    ]


def test_reads_one_data_set(tmp_path: Path, posts: datasets.Dataset, jpeg: bytes) -> None:
    posts.save_to_disk(tmp_path / "set")
    corpus = open_corpus(tmp_path / "set")
    assert corpus.kind == "datasets"
    assert list(corpus) == expected_posts("data-00000-of-00001.arrow", None, jpeg)
    assert corpus.bytes == (tmp_path / "set" / "data-00000-of-00001.arrow").stat().st_size


def test_reads_splits_in_several_files(tmp_path: Path, posts: datasets.Dataset, jpeg: bytes) -> None:
    splits = datasets.DatasetDict({"train": posts, "validation": posts})
    splits.save_to_disk(tmp_path / "set", num_shards={"train": 2, "validation": 1})
    corpus = open_corpus(tmp_path / "set")
    assert [file.name for file in corpus.files] == [
        "train/data-00000-of-00002.arrow",
        "train/data-00001-of-00002.arrow",
        "validation/data-00000-of-00001.arrow",
    ]
    rows = list(corpus)
    assert [(row.id, row.split) for row in rows] == [
        ("a", "train"),
        ("b", "train"),
        ("a", "validation"),
        ("b", "validation"),
    ]
    assert rows[2:] == expected_posts("validation/data-00000-of-00001.arrow", "validation", jpeg)


def test_split_of_a_slice(tmp_path: Path, posts: datasets.Dataset) -> None:
    posts.to_parquet(tmp_path / "x.parquet")
    part = datasets.load_dataset("parquet", data_files=str(tmp_path / "x.parquet"), split="train[:50%]")
    part.save_to_disk(tmp_path / "set")
    assert [row.split for row in open_corpus(tmp_path / "set")] == ["train"]


def test_missing_listed_file(tmp_path: Path, posts: datasets.Dataset) -> None:
    posts.save_to_disk(tmp_path / "set")
    (tmp_path / "set" / "data-00000-of-00001.arrow").unlink()
    with pytest.raises(CorpusError, match=r"listed in state\.json, but missing"):
        open_corpus(tmp_path / "set")


def test_listing_cannot_leave_the_folder(tmp_path: Path, posts: datasets.Dataset) -> None:
    posts.save_to_disk(tmp_path / "outside")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "state.json").write_text(
        '{"_data_files": [{"filename": "../outside/data-00000-of-00001.arrow"}]}'
    )
    with pytest.raises(CorpusError, match="but missing"):
        open_corpus(tmp_path / "set")


@pytest.mark.parametrize("state", ["{", "[]", "{}", '{"_data_files": 3}', '{"_data_files": [{}]}'])
def test_rejects_invalid_state(tmp_path: Path, state: str) -> None:
    (tmp_path / "state.json").write_text(state)
    with pytest.raises(CorpusError):
        open_corpus(tmp_path)


@pytest.mark.parametrize("content", [b"", b"ARROW1\0\0", b"\xff\xff\xff\xff\x10\0\0\0" + b"\1" * 16])
def test_rejects_files_that_are_not_arrow_streams(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.json").write_text('{"_data_files": [{"filename": "x.arrow"}]}')
    (tmp_path / "x.arrow").write_bytes(content)
    with pytest.raises(CorpusError, match=r"x\.arrow"):
        list(open_corpus(tmp_path))


def test_rejects_truncated_stream(tmp_path: Path, posts: datasets.Dataset) -> None:
    posts.save_to_disk(tmp_path / "set")
    file = tmp_path / "set" / "data-00000-of-00001.arrow"
    file.write_bytes(file.read_bytes()[:-400])
    with pytest.raises(CorpusError, match=r"\.arrow"):
        list(open_corpus(tmp_path / "set"))


def test_datasets_library_is_optional(tmp_path: Path, posts: datasets.Dataset) -> None:
    posts.save_to_disk(tmp_path / "set")
    code = (
        "import sys; sys.modules['datasets'] = None\n"
        "from amia.readers import open_corpus\n"
        f"print(len(list(open_corpus({str(tmp_path / 'set')!r}))))\n"
        "try: list(open_corpus('hf:owner/name'))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    process = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    count, message = process.stdout.splitlines()
    assert count == "2"
    assert message.startswith("CorpusError hf:owner/name: needs the library `datasets`; install it with")


def test_streams_from_the_hub(tmp_path: Path, posts: datasets.Dataset, jpeg: bytes) -> None:
    # A folder in the hub's layout is loaded by the same call as a name on the hub.
    folder = tmp_path / "owner"
    (folder / "data").mkdir(parents=True)
    posts.to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    posts.to_parquet(folder / "data" / "test-00000-of-00001.parquet")
    corpus = open_corpus(f"hf:{folder}")
    assert (corpus.kind, corpus.files, corpus.bytes) == ("datasets", [], 0)
    rows = list(corpus)
    assert rows[:2] == expected_posts(f"hf:{folder}/train", "train", jpeg)
    assert rows[2:] == expected_posts(f"hf:{folder}/test", "test", jpeg)


def test_unavailable_hub_data_set(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="hf:"):
        list(open_corpus(f"hf:{tmp_path / 'nothing'}"))
