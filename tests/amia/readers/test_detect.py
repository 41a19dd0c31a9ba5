"""Detection of formats, image folders, and splits."""

import os
from pathlib import Path

import pytest

from amia.errors import CorpusError
from amia.readers import open_corpus
from amia.readers.corpus import split_from_path
from amia.readers.source import LocalFile


def touch(root: Path, *names: str) -> Path:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return root


@pytest.mark.parametrize(
    ("names", "kind", "files"),
    [
        (
            ["train.txt", "dev.txt", "test.txt", "README.txt", "images/1.jpg"],
            "conll",
            ["dev.txt", "test.txt", "train.txt"],
        ),
        (["b.jsonl", "a.jsonl", "dataset.json"], "jsonl", ["a.jsonl", "b.jsonl"]),
        (["README.md", "data/train-00000-of-00001.parquet"], "parquet", ["data/train-00000-of-00001.parquet"]),
        (["train/0.tar", "test/0.tar.gz", "test/1.TGZ"], "webdataset", ["test/0.tar.gz", "test/1.TGZ", "train/0.tar"]),
        (["tweets.parquet/part-0.parquet"], "parquet", ["tweets.parquet/part-0.parquet"]),
        (["v1.0/x.jsonl"], "jsonl", ["v1.0/x.jsonl"]),
        (["a/b/c/x.parquet"], "parquet", ["a/b/c/x.parquet"]),
        (["x.jsonl", "runs/old/posts.parquet"], "jsonl", ["x.jsonl"]),
    ],
)
def test_detects_kind_and_files(tmp_path: Path, names: list[str], kind: str, files: list[str]) -> None:
    corpus = open_corpus(touch(tmp_path, *names))
    assert corpus.kind == kind
    assert [file.name for file in corpus.files] == files


@pytest.mark.parametrize("name", ["train.txt", "my tweets.txt", "x.jsonl", "x.parquet", "x.tar"])
def test_opens_a_single_file(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name, "other.jsonl", "other.parquet")
    corpus = open_corpus(str(tmp_path / name))
    assert corpus.files == [LocalFile(tmp_path / name, name)]


@pytest.mark.parametrize("names", [[], ["notes.txt"], ["a/b/c/d/x.jsonl"], ["images/x.jsonl", ".cache/x.parquet"]])
def test_unknown_source_lists_known_formats(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(CorpusError, match=r"looked for train\.txt .* \*\.jsonl, \*\.parquet, \*\.tar"):
        open_corpus(touch(tmp_path, *names))


def test_missing_and_unknown_sources(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such file or folder"):
        open_corpus(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="not a known format"):
        open_corpus(touch(tmp_path, "x.csv") / "x.csv")


def test_circular_links_are_ignored(tmp_path: Path) -> None:
    (touch(tmp_path, "x.jsonl") / "circle.jpg").symlink_to("circle.jpg")
    assert open_corpus(tmp_path).files == [LocalFile(tmp_path / "x.jsonl", "x.jsonl")]


@pytest.mark.promise(34)
@pytest.mark.parametrize("name", ["train.txt", "x.jsonl", "x.parquet", "x.tar"])
def test_pipes_and_devices_are_never_opened(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    for source in (tmp_path, tmp_path / name):
        with pytest.raises(CorpusError, match=name.replace(".", r"\.")):
            list(open_corpus(source))
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(CorpusError, match="a pipe, a device or a broken link"):
        open_corpus(tmp_path)


def test_two_formats_are_both_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"train\.txt \(conll\), b\.parquet \(parquet\)"):
        open_corpus(touch(tmp_path, "train.txt", "b.parquet"))


def test_default_image_folder_of_conll(tmp_path: Path) -> None:
    touch(tmp_path, "train.txt")
    assert open_corpus(tmp_path).image_root is None
    touch(tmp_path, "twitter2015_images/1.jpg")
    assert open_corpus(tmp_path).image_root == tmp_path / "twitter2015_images"
    touch(tmp_path, "twitter2017_images/1.jpg")
    with pytest.raises(CorpusError, match=r"twitter2015_images, twitter2017_images.*--images"):
        open_corpus(tmp_path)
    assert open_corpus(tmp_path, tmp_path / "twitter2017_images").image_root == tmp_path / "twitter2017_images"
    touch(tmp_path, "images/1.jpg")
    assert open_corpus(tmp_path).image_root == tmp_path / "images"
    assert open_corpus(tmp_path / "train.txt").image_root == tmp_path / "images"


def test_explicit_image_folder(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.jsonl", "b/x.tar", "images/1.jpg")
    assert open_corpus(tmp_path / "a").image_root == tmp_path / "a"
    assert open_corpus(tmp_path / "a", tmp_path / "images").image_root == tmp_path / "images"
    with pytest.raises(CorpusError, match="no such folder"):
        open_corpus(tmp_path / "a", tmp_path / "pictures")
    with pytest.raises(CorpusError, match="omit --images"):
        open_corpus(tmp_path / "b", tmp_path / "images")


def test_corpus_can_be_read_twice_and_pickled(tweets: Path) -> None:
    import pickle

    corpus = open_corpus(tweets)
    assert list(corpus) == list(corpus) == list(pickle.loads(pickle.dumps(corpus)))  # noqa: S301 - written here


def test_deleted_file_is_named(tmp_path: Path) -> None:
    corpus = open_corpus(touch(tmp_path, "x.jsonl"))
    (tmp_path / "x.jsonl").unlink()
    with pytest.raises(CorpusError, match=r"x\.jsonl"):
        list(corpus)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.txt", "train"),
        ("dev.jsonl", "validation"),
        ("test-00001.jsonl", "test"),
        ("Valid_1.parquet", "validation"),
        ("data/train-00000-of-00002.parquet", "train"),
        ("data/extra-00000-of-00002.parquet", "extra"),
        ("default/test/0000.parquet", "test"),
        ("train/00000.tar.gz", "train"),
        ("posts.parquet", None),
        ("contest.jsonl", None),
        ("train_test.jsonl", None),
        ("part-00000-of-00002.parquet", None),
    ],
)
def test_split_from_path(name: str, split: str | None) -> None:
    assert split_from_path(name) == split
