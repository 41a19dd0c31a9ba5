"""Text files of word vectors: both formats, words with spaces, and what a damaged file says."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amia.errors import ModelError
from amia.mner.word_vectors import read_vectors

GLOVE = """\
the 0.5 -1.25 2
. . . 1 2 3
2017 4 5 6
nba 1e-3 0 7
\x85 7 7 7
the 9 9 9
Straße 8 8 8
"""
WANTED = {"the", "2017", "nba", ". . .", "Straße", "\x85", "absent", "NBA"}


def listed(vectors):
    return {word: row.tolist() for word, row in vectors.rows.items()}


@pytest.mark.parametrize("header", ["", "7 3\n"])
@pytest.mark.parametrize("ending", ["\n", " \n", "\r\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_glove_and_word2vec_say_the_same(tmp_path, header, ending, packed):
    content = (header + GLOVE).replace("\n", ending).encode()
    path = tmp_path / ("vectors.txt.gz" if packed else "vectors.txt")
    path.write_bytes(gzip.compress(content) if packed else content)
    vectors = read_vectors(path, WANTED)
    assert vectors.width == 3
    assert listed(vectors) == {
        "the": [0.5, -1.25, 2],
        ". . .": [1, 2, 3],
        "2017": [4, 5, 6],
        "nba": [np.float32(1e-3), 0, 7],
        "\x85": [7, 7, 7],
        "Straße": [8, 8, 8],
    }
    assert all(row.dtype == np.float32 for row in vectors.rows.values())


def test_a_word_has_its_own_vector_before_that_of_its_lower_cased_form(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("ali 1 1\nAli 2 2\nnba 3 3\n")
    vectors = read_vectors(path, {"ali", "Ali", "nba"})
    assert vectors.of("Ali").tolist() == [2, 2]
    assert vectors.of("ALI").tolist() == [1, 1]
    assert vectors.of("NBA").tolist() == [3, 3]
    assert vectors.of("zzz") is None


@settings(deadline=None, max_examples=40)  # files are written
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters=" \r\n"), min_size=1),
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
        min_size=1,
    ),
    st.data(),
)
def test_wanted_words_come_back_to_the_last_bit(tmp_path_factory, table, data):
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    lines = [f"{word} {' '.join(map(repr, row))}\n" for word, row in table.items()]
    path.write_bytes("".join(lines).encode())
    wanted = data.draw(st.sets(st.sampled_from(sorted(table))))
    assert listed(read_vectors(path, wanted)) == {word: table[word] for word in wanted}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("the 1 2 3\nnba 1 2\n", "line 2: a word and 3 numbers"),
        ("the 1 2 3\nnba 1 2 3 4\n", "line 2: a word and 3 numbers"),
        ("2 3\nthe 1 2 3\n\nnba\n", "line 4: a word and 3 numbers"),
        ("the 1 2 3\nnba 1 two 3\n", "line 2: could not convert string to float"),
        ("the 1 2 3\nnba 1 nan 3\n", "line 2: a vector that is not finite"),
        ("<html>\n", "line 1: a word and its numbers"),
        ("the\t1\t2\n", "line 1: a word and its numbers"),
        ("", "holds no word vectors"),
    ],
)
def test_damaged_files_are_named_with_the_line(tmp_path, content, said):
    path = tmp_path / "vectors.txt"
    path.write_text(content)
    with pytest.raises(ModelError, match=said) as caught:
        read_vectors(path, {"the", "nba"})
    assert str(path) in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ModelError, match="word vectors cannot be read from"):
        read_vectors(tmp_path / "absent.txt", {"the"})
    cut = tmp_path / "vectors.gz"
    cut.write_bytes(gzip.compress(GLOVE.encode())[:-12])
    with pytest.raises(ModelError, match=r"vectors\.gz"):
        read_vectors(cut, {"the"})
    cut.write_text(GLOVE)
    with pytest.raises(ModelError, match=r"vectors\.gz"):
        read_vectors(cut, {"the"})
