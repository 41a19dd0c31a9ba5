"""Numbers of words and characters: what is listed, what falls back, and that a folder gives the same ones back."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amia.errors import ModelError
from amia.mner.data_collator import collate
from amia.mner.tokenizers import UNKNOWN, Vocabulary

COUNTS = Counter(["the", "the", "the", "NBA", "NBA", "final", "final", "Ali"])


def test_words_of_training_come_first_the_frequent_ones_foremost():
    assert Vocabulary.of(COUNTS).words == ("the", "NBA", "final", "Ali")


def test_words_of_other_posts_are_kept_where_they_have_a_vector():
    others = ["Paris", "London", "the", "Zzz", "PARIS"]
    vocabulary = Vocabulary.of(COUNTS, others, {"paris", "London", "elsewhere", "the"})
    assert vocabulary.words == ("the", "NBA", "final", "Ali", "London", "paris")
    assert vocabulary.number("Paris") == vocabulary.number("PARIS") == vocabulary.number("paris") > UNKNOWN
    assert vocabulary.number("Zzz") == UNKNOWN
    assert Vocabulary.of(COUNTS, others).words == ("the", "NBA", "final", "Ali")


def test_a_word_that_is_not_listed_is_looked_up_lower_cased():
    vocabulary = Vocabulary.of(COUNTS)
    assert vocabulary.number("THE") == vocabulary.number("the") == 2
    assert vocabulary.number("nba") == UNKNOWN, "a lower-cased word is not taken for a name"


def test_characters_that_training_holds_once_stand_for_unknown_ones():
    vocabulary = Vocabulary.of({"aab": 1, "c": 2, "é": 1})
    assert vocabulary.characters == ("a", "c")
    assert vocabulary.encode("1", ["abc", "世"]).chars == ((2, 1, 3), (1,))


def test_long_and_empty_words_fit_into_a_batch():
    vocabulary = Vocabulary.of({"ab": 5})
    long = vocabulary.encode("1", ["ab" * 40, ""], [1, 0])
    assert long.chars == ((2, 3) * 15, (UNKNOWN,))
    assert long.words == (UNKNOWN, UNKNOWN)
    assert long.labels == (1, 0)
    batch = collate([vocabulary.encode("1", [""])])
    assert batch.words.tolist() == [[UNKNOWN]]
    assert batch.chars.tolist() == [[[UNKNOWN]]]
    assert batch.labels is None


@settings(deadline=None, max_examples=40)  # files are written
@given(st.dictionaries(st.text(max_size=8), st.integers(1, 3)), st.lists(st.text(max_size=8), min_size=1))
def test_a_folder_gives_the_same_numbers_back(tmp_path_factory, counts, tokens):
    vocabulary = Vocabulary.of(counts)
    folder = tmp_path_factory.mktemp("vocabulary")
    vocabulary.save(folder)
    again = Vocabulary.load(folder)
    assert (again.words, again.characters) == (vocabulary.words, vocabulary.characters)
    encoded = vocabulary.encode("1", [*tokens, *counts])
    assert again.encode("1", [*tokens, *counts]) == encoded
    assert all(number >= Vocabulary.first for number in encoded.words[len(tokens) :])
    assert max(encoded.words) < Vocabulary.first + len(again.words) or max(encoded.words) == UNKNOWN


@pytest.mark.parametrize(
    "content", [None, b"", b"\xff", b"[]", b'{"words": ["a"]}', json.dumps({"words": [1], "characters": []}).encode()]
)
def test_a_file_that_is_missing_or_foreign(tmp_path, content):
    if content is not None:
        (tmp_path / "vocabulary.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"vocabulary\.json"):
        Vocabulary.load(tmp_path)
