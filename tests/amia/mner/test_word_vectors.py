"""Test text files of word vectors: both formats, words with spaces, and damaged files."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amia.errors import ModelError
from amia.mner.word_vectors import read_word_vectors

GLOVE = """\
the 0.5 -1.25 2
. . . 1 2 3
2017 4 5 6
nba 1e-3 0 7
\x85 7 7 7
the 9 9 9
Straße 8 8 8
"""
WORDS = {"the", "2017", "nba", ". . .", "Straße", "\x85", "absent", "NBA"}


def as_lists(vectors):
    return {word: row.tolist() for word, row in vectors.rows.items()}


@pytest.mark.parametrize("header", ["", "7 3\n"])
@pytest.mark.parametrize("line_end", ["\n", " \n", "\r\n"])
@pytest.mark.parametrize("compressed", [False, True])
def test_reads_glove_and_word2vec(tmp_path, header, line_end, compressed):
    content = (header + GLOVE).replace("\n", line_end).encode()
    path = tmp_path / ("vectors.txt.gz" if compressed else "vectors.txt")
    path.write_bytes(gzip.compress(content) if compressed else content)
    vectors = read_word_vectors(path, WORDS)
    assert vectors.width == 3
    assert as_lists(vectors) == {
        "the": [0.5, -1.25, 2],
        ". . .": [1, 2, 3],
        "2017": [4, 5, 6],
        "nba": [np.float32(1e-3), 0, 7],
        "\x85": [7, 7, 7],
        "Straße": [8, 8, 8],
    }
    assert all(row.dtype == np.float32 for row in vectors.rows.values())


def test_get_prefers_the_exact_word(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("ali 1 1\nAli 2 2\nnba 3 3\n")
    vectors = read_word_vectors(path, {"ali", "Ali", "nba"})
    assert vectors.get("Ali").tolist() == [2, 2]
    assert vectors.get("ALI").tolist() == [1, 1]
    assert vectors.get("NBA").tolist() == [3, 3]
    assert vectors.get("zzz") is None


@settings(deadline=None, max_examples=40)  # writes files
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters=" \r\n"), min_size=1),
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
        min_size=1,
    ),
    st.data(),
)
def test_reads_requested_words_exactly(tmp_path_factory, table, data):
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    lines = [f"{word} {' '.join(map(repr, row))}\n" for word, row in table.items()]
    path.write_bytes("".join(lines).encode())
    words = data.draw(st.sets(st.sampled_from(sorted(table))))
    assert as_lists(read_word_vectors(path, words)) == {word: table[word] for word in words}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("the 1 2 3\nnba 1 2\n", "line 2: expected a word and 3 numbers"),
        ("the 1 2 3\nnba 1 2 3 4\n", "line 2: expected a word and 3 numbers"),
        ("2 3\nthe 1 2 3\n\nnba\n", "line 4: expected a word and 3 numbers"),
        ("the 1 2 3\nnba 1 two 3\n", "line 2: could not convert string to float"),
        ("the 1 2 3\nnba 1 nan 3\n", "line 2: the vector is not finite"),
        ("<html>\n", "line 1: expected a word and its numbers"),
        ("the\t1\t2\n", "line 1: expected a word and its numbers"),
        ("", "contains no word vectors"),
    ],
)
def test_error_names_file_and_line(tmp_path, content, message):
    path = tmp_path / "vectors.txt"
    path.write_text(content)
    with pytest.raises(ModelError, match=message) as caught:
        read_word_vectors(path, {"the", "nba"})
    assert str(path) in str(caught.value)


def test_rejects_unreadable_files(tmp_path):
    with pytest.raises(ModelError, match="cannot read the word vectors"):
        read_word_vectors(tmp_path / "absent.txt", {"the"})
    path = tmp_path / "vectors.gz"
    path.write_bytes(gzip.compress(GLOVE.encode())[:-12])
    with pytest.raises(ModelError, match=r"vectors\.gz"):
        read_word_vectors(path, {"the"})
    path.write_text(GLOVE)
    with pytest.raises(ModelError, match=r"vectors\.gz"):
        read_word_vectors(path, {"the"})
