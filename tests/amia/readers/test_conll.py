"""CoNLL files: whatever stands in a token stays, whatever cannot be read costs one post."""

import codecs
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.errors import CorpusError
from amia.posts import Post, RawPost, Rejected, validate_post
from amia.readers import open_corpus
from amia.readers.conll import read_conll
from amia.readers.image_folder import ImageFolder

NO_IMAGES = ImageFolder(None)


def read(tmp_path: Path, content: bytes) -> list[RawPost | Rejected]:
    file = tmp_path / "train.txt"
    file.write_bytes(content)
    return list(read_conll(file, "train.txt", "train", NO_IMAGES))


def brief(rows: list[RawPost | Rejected]) -> list[tuple[object, ...]]:
    return [
        (row.id, row.reason) if isinstance(row, Rejected) else (row.id, list(row.tokens or ()), row.tags)
        for row in rows
    ]


def test_the_fixture_as_a_whole(tweets: Path) -> None:
    corpus = open_corpus(tweets)
    assert corpus.kind == "conll"
    assert [file.name for file in corpus.files] == ["test.txt", "train.txt", "valid.txt"]
    assert corpus.image_root == tweets / "images"
    assert corpus.bytes == sum(file.stat().st_size for file in corpus.files)
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


def test_odd_tokens_stay_exactly_as_they_are(tweets: Path) -> None:
    posts = {raw.id: raw for raw in open_corpus(tweets)}
    assert posts["1003"].tokens[1] == "\ufe0f"
    assert posts["1003"].tokens[7] == "\u200d"
    assert posts["1004"].tokens[:3] == ["a\u00a0b", "line\u2028break", "\u0085"]


def test_tags_as_read_and_as_valid_bio2(tweets: Path) -> None:
    posts = {raw.id: validate_post(raw) for raw in open_corpus(tweets)}
    assert posts["1002"].tags == ("B-OTHER", "O", "O", "I-OTHER", "O", "O", "O", "I-PER", "O")
    assert posts["1002"].ner_tags == ("B-MISC", "O", "O", "B-MISC", "O", "O", "O", "B-PER", "O")
    assert posts["1002"].repaired == 2
    assert posts["1004"].ner_tags[4:7] == ("B-LOC", "I-LOC", "B-MISC")


def test_of_three_columns_the_coarse_tag_is_read(tweets: Path) -> None:
    posts = {raw.id: raw for raw in open_corpus(tweets)}
    assert posts["O_9003"].tags == ["O", "B-building", "O", "B-location"]


def test_where_says_the_line(tmp_path: Path) -> None:
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
    assert brief(read(tmp_path, content)) == expected


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"x", "1 columns where the post began with 2"),
        (b"x\tO\tO\tO\tO", "5 columns where the post began with 2"),
        (b"\xff\xfe\tO", "not valid UTF-8"),
        (b"x" * (1 << 20) + b"\tO", "a line of more than 1048576 bytes"),
    ],
)
def test_a_line_that_cannot_be_read_costs_its_post_only(tmp_path: Path, bad: bytes, reason: str) -> None:
    rows = read(tmp_path, b"IMGID:1\na\tO\n\nIMGID:2\nb\tO\n" + bad + b"\nrest\tO\n\nIMGID:3\nc\tO\n")
    assert brief(rows) == [("1", ["a"], ["O"]), ("2", reason), ("3", ["c"], ["O"])]
    assert rows[1].location == "train.txt:6"


def test_five_columns_are_no_known_format(tmp_path: Path) -> None:
    rows = read(tmp_path, b"a\tb\tc\td\tO\n\nb\tO\n")
    assert isinstance(rows[0], Rejected)
    assert "5 columns" in rows[0].reason
    assert brief(rows[1:]) == [(None, ["b"], ["O"])]


def test_a_file_without_blank_lines_is_not_held_in_memory(tmp_path: Path) -> None:
    rows = read(tmp_path, b"a\tO\n" * 100_001)
    assert [type(row) for row in rows] == [Rejected]
    assert "blank lines" in rows[0].reason
    assert rows[0].location == "train.txt:100001"


def test_utf_16_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="UTF-16"):
        read(tmp_path, "IMGID:1\na\tO\n".encode("utf-16"))


def test_ids_never_lead_out_of_the_image_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (tmp_path / "images").mkdir()
    (tmp_path / "train.txt").write_bytes(
        b"IMGID:../secret\na\tO\n\nIMGID:" + str(tmp_path / "secret").encode() + b"\nb\tO\n\nIMGID:a\0b\nc\tO\n"
    )
    assert [raw.image_path for raw in open_corpus(tmp_path)] == [None, None, None]


def test_jpg_is_preferred_and_endings_may_be_upper_case(tmp_path: Path) -> None:
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
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    posts: list[tuple[str, list[tuple[str, str]]]],
    end: str,
    final: bool,
) -> None:
    blocks = [end.join([f"IMGID:{name}", *(f"{token}\t{tag}" for token, tag in rows)]) for name, rows in posts]
    content = (end + end).join(blocks) + (end if final else "")
    rows = read(tmp_path_factory.getbasetemp(), content.encode())
    assert brief(rows) == [(name, [t for t, _ in rows], [tag for _, tag in rows]) for name, rows in posts]


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_fail_otherwise(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    try:
        rows = read(tmp_path_factory.getbasetemp(), content)
    except CorpusError:
        assert content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    else:
        assert all(isinstance(validate_post(row), Post | Rejected) for row in rows if isinstance(row, RawPost))


def test_reading_takes_the_memory_of_a_post_not_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "train.txt"
    file.write_bytes(b"".join(b"IMGID:%d\n%s\n" % (n, b"word\tO\n" * 20) for n in range(5_000)))
    tracemalloc.start()
    try:
        assert sum(1 for _ in open_corpus(file)) == 5_000
        assert tracemalloc.get_traced_memory()[1] < 300_000 < file.stat().st_size
    finally:
        tracemalloc.stop()


def test_twitter_2017_is_read_whole(shared_data: Path) -> None:
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
