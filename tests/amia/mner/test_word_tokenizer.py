"""Test `split_words`: no character is lost, and tweets are split as public corpora split them."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.mner.word_tokenizer import has_split_signs, split_words

DATA = os.environ.get("AMIA_SHARED_DATA")

SIGNS = ["http://", "https://t.co/", "www.", "@", "#", "'", "’", "-", ".", ",", ":", ")", "<3"]
LETTERS = ["5", "a", "_", "e\u0301", "नमस्ते", "⚾", "\ufe0f", "👨\u200d👩", "\U0001f1eb\U0001f1f7"]
SPACES = [" ", "\t", "\x1c", "\x85", "\xa0", "\u3000", "\0"]
any_text = st.text(st.characters(exclude_categories=["Cs"]))
tweets = st.lists(st.sampled_from(SIGNS + LETTERS + SPACES)).map("".join)


@given(any_text | tweets, st.booleans())
def test_each_character_is_in_one_word(text, split_signs):
    words = split_words(text, split_signs=split_signs)
    covered = [position for word in words for position in range(word.start, word.end)]
    assert covered == [position for position, character in enumerate(text) if not character.isspace()]
    assert all(word.text == text[word.start : word.end] for word in words)


@pytest.mark.parametrize(
    ("text", "joined", "split"),
    [
        ("RT @JoJo_1: hi", "RT @JoJo_1 : hi", "RT @ JoJo_1 : hi"),
        ("#NBA's best,#1!", "#NBA ' s best , #1 !", "# NBA ' s best , # 1 !"),
        ("Obama's well-known", "Obama's well-known", "Obama ' s well - known"),
        ("I’m at O'Hare- ", "I’m at O'Hare -", "I ’ m at O ' Hare -"),
        ("at 5:30pm 24/7, 3-2.", "at 5:30pm 24/7 , 3-2 .", "at 5 : 30pm 24 / 7 , 3 - 2 ."),
        ("What?! ok... …", "What ?! ok ... …", "What ? ! ok . . . …"),
        ("a@b", "a @ b", "a @ b"),
    ],
)
def test_differences_between_the_two_modes(text, joined, split):
    assert [word.text for word in split_words(text)] == joined.split()
    assert [word.text for word in split_words(text, split_signs=True)] == split.split()


@pytest.mark.parametrize("split_signs", [False, True])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "(see https://t.co/aB3, or HTTP://x.org/a?b=c&d#e).",
            "( see https://t.co/aB3 , or HTTP://x.org/a?b=c&d#e ) .",
        ),
        ("www.nba.com/x! www...", "www.nba.com/x ! www ..."),
        ("$10,000 2.5k 21st 3. 50%", "$ 10,000 2.5k 21st 3 . 50 %"),
        ("yes:) :-( :D =P <3 <30 :Paul x:y", "yes : ) :-( :D =P <3 < 30 : Paul x : y"),
        ("cafe\u0301 नमस्\u200dते Füße", "cafe\u0301 नमस्\u200dते Füße"),
        ("⚾\ufe0fGo🔥🔥", "⚾ \ufe0f Go 🔥 🔥"),
        (" \n\t ", ""),
        ("", ""),
    ],
)
def test_common_behavior_of_both_modes(text, expected, split_signs):
    expected = expected.replace("...", ". . .") if split_signs else expected
    assert [word.text for word in split_words(text, split_signs=split_signs)] == expected.split()


@pytest.mark.parametrize("split_signs", [False, True])
@pytest.mark.parametrize("pattern", ["1,", "http://", "www.", ":(", "@a", "a'", "<3", "http://!", "!", "a-"])
def test_long_text_takes_linear_time(pattern, split_signs):
    words = split_words(pattern * 20_000, split_signs=split_signs)
    assert "".join(word.text for word in words) == pattern * 20_000


def test_detects_how_a_corpus_is_split():
    assert has_split_signs([["@", "user", "don", "'", "t"], ["#", "NBA"], ["@user"]])
    assert not has_split_signs([["@user", "don't"], ["#NBA", "'", "x"]])
    assert not has_split_signs([["plain", "words"], []])
    assert not has_split_signs([])


@pytest.mark.skipif(DATA is None, reason="AMIA_SHARED_DATA is not set to a folder of real data")
def test_keeps_the_words_of_a_public_corpus():
    """Except for a few such as `21,`, where the corpus has a comma in a number's token."""
    sentences = []
    for name in ("train", "valid", "test"):
        blocks = (
            (Path(DATA or "") / "twitter2017" / f"{name}.txt").read_text(encoding="utf-8").strip("\n").split("\n\n")
        )
        sentences += [[line.split("\t")[0] for line in block.split("\n")[1:]] for block in blocks]
    assert has_split_signs(sentences)
    for split_signs in (False, True):
        kept = 0
        for tokens in sentences:
            spans = {(word.start, word.end) for word in split_words(" ".join(tokens), split_signs=split_signs)}
            start = 0
            for token in tokens:
                kept += (start, start + len(token)) in spans
                start += len(token) + 1
        assert kept / sum(map(len, sentences)) > 0.999
