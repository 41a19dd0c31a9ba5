"""CoNLL files: tokens are kept exactly, and an invalid line affects one post."""

import codecs
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from amia.errors import CorpusError
from amia.posts import Post, RawPost, Rejected, validate_post
from amia.readers import open_corpus
from amia.readers.conll import read_conll
from amia.readers.image_folder import ImageFolder
from amia.readers.source import LocalFile

NO_IMAGES = ImageFolder(None)
COMPRESSED = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
"""First bytes of gzip and Zstandard: what follows them may be damaged."""


def read(tmp_path: Path, content: bytes) -> list[RawPost | Rejected]:
    file = tmp_path / "train.txt"
    file.write_bytes(content)
    return list(read_conll(LocalFile(file, "train.txt"), "train", NO_IMAGES))


def summarize(rows: list[RawPost | Rejected]) -> list[tuple[object, ...]]:
    return [
        (row.id, row.reason) if isinstance(row, Rejected) else (row.id, list(row.tokens or ()), row.tags)
        for row in rows
    ]


def test_reads_the_fixture(tweets: Path) -> None:
    corpus = open_corpus(tweets)
    assert corpus.kind == "conll"
    assert [file.name for file in corpus.files] == ["test.txt", "train.txt", "valid.txt"]
    assert corpus.image_root == tweets / "images"
    assert corpus.bytes == sum(file.size for file in corpus.files)
    posts = {raw.id: validate_post(raw) for raw in corpus if isinstance(raw, RawPost)}
    assert all(isinstance(post, Post) for post in posts.values())
    assert Counter(post.split for post in posts.values()) == {"train": 5, "validation": 3, "test": 3}
    assert {name: post.image_path for name, post in posts.items()} == {
        "1001": "1001.jpg",
        "1002": "1002.PNG",
        "1003": "1003.jpg",
        "1004": "1004.jpg",
        "1005": "1005.jpeg",
        "1006": None,
        "17_06_9001": "17_06_9001.gif",
        "9002": "9002.jpg",
        "O_9003": "O_9003.webp",
        "9004": "9004.jpg",
        None: None,
    }


def test_unusual_tokens_are_kept(tweets: Path) -> None:
    posts = {raw.id: raw for raw in open_corpus(tweets)}
    assert posts["1003"].tokens[1] == "\ufe0f"
    assert posts["1003"].tokens[7] == "\u200d"
    assert posts["1004"].tokens[:3] == ["a\u00a0b", "line\u2028break", "\u0085"]


def test_tags_as_read_and_as_bio2(tweets: Path) -> None:
    posts = {raw.id: validate_post(raw) for raw in open_corpus(tweets)}
    assert posts["1002"].tags == ("B-OTHER", "O", "O", "I-OTHER", "O", "O", "O", "I-PER", "O")
    assert posts["1002"].ner_tags == ("B-MISC", "O", "O", "B-MISC", "O", "O", "O", "B-PER", "O")
    assert posts["1002"].repaired == 2
    assert posts["1004"].ner_tags[4:7] == ("B-LOC", "I-LOC", "B-MISC")


def test_coarse_tag_of_three_columns(tweets: Path) -> None:
    posts = {raw.id: raw for raw in open_corpus(tweets)}
    assert posts["O_9003"].tags == ["O", "B-building", "O", "B-location"]


def test_location_is_the_line(tmp_path: Path) -> None:
    rows = read(tmp_path, b"IMGID:1\na\tO\n\n\nIMGID:2\nb\tO\n")
    assert [row.location for row in rows] == ["train.txt:1", "train.txt:5"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"\n\n \n\t\n", []),
        (b"IMGID:1\na\tO", [("1", ["a"], ["O"])]),
        (b"\xef\xbb\xbfIMGID:1\r\na\tO\r\n\r\nb\tO\r\n", [("1", ["a"], ["O"]), (None, ["b"], ["O"])]),
        (b"IMGID:1\na\tO\nIMGID:2\nb\tO\n", [("1", ["a"], ["O"]), ("2", ["b"], ["O"])]),
        (b"IMGID:1\n\na\tO\n", [("1", ["a"], ["O"])]),
        (b"IMGID:1\n\nIMGID:2\nb\tO\n", [("1", [], None), ("2", ["b"], ["O"])]),
        (b"IMGID: 1 \na O\nb B-PER\n", [("1", ["a", "b"], ["O", "B-PER"])]),
        (b"IMGID:\na\tO\n", [(None, ["a"], ["O"])]),
        (b"a\nb\n\nc\n", [(None, ["a", "b"], None), (None, ["c"], None)]),
        (b"a b\tO\n\tO\n", [(None, ["a b", ""], ["O", "O"])]),
        (b"-DOCSTART- -X- -X- O\n\nEU NNP B-NP I-ORG\n", [(None, ["EU"], ["I-ORG"])]),
    ],
)
def test_layouts(tmp_path: Path, content: bytes, expected: list[tuple[object, ...]]) -> None:
    assert summarize(read(tmp_path, content)) == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"x", "1 columns, but the first line of the post has 2"),
        (b"x\tO\tO\tO\tO", "5 columns, but the first line of the post has 2"),
        (b"\xff\xfe\tO", "not valid UTF-8"),
        (b"x" * (1 << 20) + b"\tO", "a line of more than 1048576 bytes"),
    ],
)
def test_invalid_line_affects_its_post_only(tmp_path: Path, line: bytes, reason: str) -> None:
    rows = read(tmp_path, b"IMGID:1\na\tO\n\nIMGID:2\nb\tO\n" + line + b"\nrest\tO\n\nIMGID:3\nc\tO\n")
    assert summarize(rows) == [("1", ["a"], ["O"]), ("2", reason), ("3", ["c"], ["O"])]
    assert rows[1].location == "train.txt:6"


def test_rejects_five_columns(tmp_path: Path) -> None:
    rows = read(tmp_path, b"a\tb\tc\td\tO\n\nb\tO\n")
    assert isinstance(rows[0], Rejected)
    assert "5 columns" in rows[0].reason
    assert summarize(rows[1:]) == [(None, ["b"], ["O"])]


def test_missing_blank_lines_are_detected(tmp_path: Path) -> None:
    rows = read(tmp_path, b"a\tO\n" * 100_001)
    assert [type(row) for row in rows] == [Rejected]
    assert "blank lines" in rows[0].reason
    assert rows[0].location == "train.txt:100001"


def test_rejects_utf_16(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="UTF-16"):
        read(tmp_path, "IMGID:1\na\tO\n".encode("utf-16"))


def test_ids_cannot_leave_the_image_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (tmp_path / "images").mkdir()
    (tmp_path / "train.txt").write_bytes(
        b"IMGID:../secret\na\tO\n\nIMGID:" + str(tmp_path / "secret").encode() + b"\nb\tO\n\nIMGID:a\0b\nc\tO\n"
    )
    assert [raw.image_path for raw in open_corpus(tmp_path)] == [None, None, None]


def test_jpg_is_preferred_in_any_case(tmp_path: Path) -> None:
    for name in ("1.png", "1.JPG", "1.gif", "2.TIFF", "3.txt", ".jpg", "4.5.jpeg"):
        (tmp_path / name).touch()
    folder = ImageFolder(tmp_path)
    assert len(folder) == 3
    assert [folder.find(name) for name in ("1", "2", "3", "4.5", None, "")] == [
        "1.JPG",
        "2.TIFF",
        None,
        "4.5.jpeg",
        None,
        None,
    ]


TOKENS = st.text(st.characters(blacklist_characters="\t\n\r", blacklist_categories=["Cs"]), min_size=1, max_size=8)
POSTS = st.lists(
    st.tuples(
        st.integers(0, 99).map(str),
        st.lists(st.tuples(TOKENS, st.sampled_from(["O", "B-PER", "I-LOC"])), min_size=1, max_size=6),
    ),
    max_size=5,
)


@given(POSTS, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    posts: list[tuple[str, list[tuple[str, str]]]],
    newline: str,
    final: bool,
) -> None:
    blocks = [newline.join([f"IMGID:{name}", *(f"{token}\t{tag}" for token, tag in rows)]) for name, rows in posts]
    content = (newline + newline).join(blocks) + (newline if final else "")
    rows = read(tmp_path_factory.getbasetemp(), content.encode())
    assert summarize(rows) == [(name, [token for token, _ in rows], [tag for _, tag in rows]) for name, rows in posts]


@given(st.binary(max_size=200))
@example(b"\x28\xb5\x2f\xfd")
@example(b"\x1f\x8b\x08\x00")
def test_arbitrary_bytes_raise_corpus_errors_only(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    try:
        rows = read(tmp_path_factory.getbasetemp(), content)
    except CorpusError:
        assert content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, *COMPRESSED))
    else:
        assert all(isinstance(validate_post(row), Post | Rejected) for row in rows if isinstance(row, RawPost))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "train.txt"
    file.write_bytes(b"".join(b"IMGID:%d\n%s\n" % (n, b"word\tO\n" * 20) for n in range(5_000)))
    tracemalloc.start()
    try:
        assert sum(1 for _ in open_corpus(file)) == 5_000
        assert tracemalloc.get_traced_memory()[1] < 300_000 < file.stat().st_size
    finally:
        tracemalloc.stop()


def test_reads_twitter_2017_completely(shared_data: Path) -> None:
    rows = [validate_post(raw) for raw in open_corpus(shared_data / "twitter2017")]
    assert Counter(row.split for row in rows) == {"train": 3373, "validation": 723, "test": 723}
    assert sum(len(row.tokens) for row in rows) == 53007 + 11309 + 11330
    tests = [row for row in rows if row.split == "test"]
    lines = [f"{token}\t{tag}" for row in tests for token, tag in zip(row.tokens, row.tags, strict=True)]
    original = (shared_data / "twitter2017" / "test.txt").read_bytes().decode().split("\n")
    assert lines == [line for line in original if line and not line.startswith("IMGID:")]


def test_real_tweets_have_their_images(shared_data: Path) -> None:
    corpus = open_corpus(shared_data / "tweets")
    assert [raw.image_path for raw in corpus] == [f"{raw.id}.jpg" for raw in corpus]
    assert all((corpus.image_root / raw.image_path).is_file() for raw in corpus)
