"""Words of raw text: nothing is lost, tweets come out as people would cut them."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.mner.word_tokenizer import cut_apart, words

DATA = os.environ.get("AMIA_SHARED_DATA")

SIGNS = ["http://", "https://t.co/", "www.", "@", "#", "'", "’", "-", ".", ",", ":", ")", "<3"]
LETTERS = ["5", "a", "_", "e\u0301", "नमस्ते", "⚾", "\ufe0f", "👨\u200d👩", "\U0001f1eb\U0001f1f7"]
SPACES = [" ", "\t", "\x1c", "\x85", "\xa0", "\u3000", "\0"]
anything = st.text(st.characters(exclude_categories=["Cs"]))
tweets = st.lists(st.sampled_from(SIGNS + LETTERS + SPACES)).map("".join)


@given(anything | tweets, st.booleans())
def test_every_character_is_in_exactly_one_word(text, apart):
    found = words(text, apart=apart)
    covered = [place for word in found for place in range(word.start, word.end)]
    assert covered == [place for place, character in enumerate(text) if not character.isspace()]
    assert all(word.text == text[word.start : word.end] for word in found)


@pytest.mark.parametrize(
    ("text", "together", "apart"),
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
def test_where_the_two_ways_differ(text, together, apart):
    assert [word.text for word in words(text)] == together.split()
    assert [word.text for word in words(text, apart=True)] == apart.split()


@pytest.mark.parametrize("apart", [False, True])
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
def test_what_both_ways_share(text, expected, apart):
    expected = expected.replace("...", ". . .") if apart else expected
    assert [word.text for word in words(text, apart=apart)] == expected.split()


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("bad", ["1,", "http://", "www.", ":(", "@a", "a'", "<3", "http://!", "!", "a-"])
def test_long_text_is_no_trap(bad, apart):
    found = words(bad * 20_000, apart=apart)
    assert "".join(word.text for word in found) == bad * 20_000


def test_which_way_a_corpus_is_cut():
    assert cut_apart([["@", "user", "don", "'", "t"], ["#", "NBA"], ["@user"]])
    assert not cut_apart([["@user", "don't"], ["#NBA", "'", "x"]])
    assert not cut_apart([["plain", "words"], []])
    assert not cut_apart([])


@pytest.mark.skipif(DATA is None, reason="AMIA_SHARED_DATA names no folder of real data")
def test_words_of_a_public_corpus_stay_as_they_are():
    """But for a few like `21,`, where the corpus has a comma in a number's token."""
    sentences = []
    for name in ("train", "valid", "test"):
        blocks = (
            (Path(DATA or "") / "twitter2017" / f"{name}.txt").read_text(encoding="utf-8").strip("\n").split("\n\n")
        )
        sentences += [[line.split("\t")[0] for line in block.split("\n")[1:]] for block in blocks]
    assert cut_apart(sentences)
    for apart in (False, True):
        same = 0
        for tokens in sentences:
            places = {(word.start, word.end) for word in words(" ".join(tokens), apart=apart)}
            start = 0
            for token in tokens:
                same += (start, start + len(token)) in places
                start += len(token) + 1
        assert same / sum(map(len, sentences)) > 0.999
