"""Test `Vocabulary`: which words it lists, how it falls back, and saving."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amia.errors import ModelError
from amia.mner.data_collator import collate
from amia.mner.tokenizers import UNKNOWN_ID, Vocabulary

COUNTS = Counter(["the", "the", "the", "NBA", "NBA", "final", "final", "Ali"])


def test_sorts_training_words_by_frequency():
    assert Vocabulary.build(COUNTS).words == ("the", "NBA", "final", "Ali")


def test_keeps_other_words_that_have_a_vector():
    other_words = ["Paris", "London", "the", "Zzz", "PARIS"]
    vocabulary = Vocabulary.build(COUNTS, other_words, {"paris", "London", "elsewhere", "the"})
    assert vocabulary.words == ("the", "NBA", "final", "Ali", "London", "paris")
    assert vocabulary.word_id("Paris") == vocabulary.word_id("PARIS") == vocabulary.word_id("paris") > UNKNOWN_ID
    assert vocabulary.word_id("Zzz") == UNKNOWN_ID
    assert Vocabulary.build(COUNTS, other_words).words == ("the", "NBA", "final", "Ali")


def test_falls_back_to_the_lower_cased_word():
    vocabulary = Vocabulary.build(COUNTS)
    assert vocabulary.word_id("THE") == vocabulary.word_id("the") == 2
    assert vocabulary.word_id("nba") == UNKNOWN_ID, "a lower-cased word is not looked up in another case"


def test_characters_that_occur_once_are_unknown():
    vocabulary = Vocabulary.build({"aab": 1, "c": 2, "é": 1})
    assert vocabulary.characters == ("a", "c")
    assert vocabulary.encode("1", ["abc", "世"]).char_ids == ((2, 1, 3), (1,))


def test_encodes_long_and_empty_words():
    vocabulary = Vocabulary.build({"ab": 5})
    post = vocabulary.encode("1", ["ab" * 40, ""], [1, 0])
    assert post.char_ids == ((2, 3) * 15, (UNKNOWN_ID,))
    assert post.word_ids == (UNKNOWN_ID, UNKNOWN_ID)
    assert post.labels == (1, 0)
    batch = collate([vocabulary.encode("1", [""])])
    assert batch.word_ids.tolist() == [[UNKNOWN_ID]]
    assert batch.char_ids.tolist() == [[[UNKNOWN_ID]]]
    assert batch.labels is None


@settings(deadline=None, max_examples=40)  # writes files
@given(st.dictionaries(st.text(max_size=8), st.integers(1, 3)), st.lists(st.text(max_size=8), min_size=1))
def test_loaded_vocabulary_encodes_the_same(tmp_path_factory, counts, tokens):
    vocabulary = Vocabulary.build(counts)
    folder = tmp_path_factory.mktemp("vocabulary")
    vocabulary.save(folder)
    loaded = Vocabulary.load(folder)
    assert (loaded.words, loaded.characters) == (vocabulary.words, vocabulary.characters)
    encoded = vocabulary.encode("1", [*tokens, *counts])
    assert loaded.encode("1", [*tokens, *counts]) == encoded
    assert all(word_id >= Vocabulary.first_id for word_id in encoded.word_ids[len(tokens) :])
    assert max(encoded.word_ids) < Vocabulary.first_id + len(loaded.words) or max(encoded.word_ids) == UNKNOWN_ID


@pytest.mark.parametrize(
    "content", [None, b"", b"\xff", b"[]", b'{"words": ["a"]}', json.dumps({"words": [1], "characters": []}).encode()]
)
def test_rejects_missing_or_invalid_file(tmp_path, content):
    if content is not None:
        (tmp_path / "vocabulary.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"vocabulary\.json"):
        Vocabulary.load(tmp_path)
