"""Cleaning of tweets and prompts."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.text import clean_text, make_prompt, visible_text


@pytest.mark.parametrize(
    ("tweet", "clean"),
    [
        # tokenized as in public data
        ("RT @ user : I do n't go &amp ; see https : //t . co/abc123 now", "I don't go & see now"),
        ("Check http : / / t . co / abc now", "Check now"),
        ("# MLB # Baseball MLB 2010 World Series San Francisco # Giants DVD New in …",
         "MLB Baseball MLB 2010 World Series San Francisco Giants DVD New in"),
        ("@ DallasStars : There ' s the horn . We ' re tied , 3 - 3, after 60 .",
         "There's the horn. We're tied, 3 - 3, after 60."),
        ("I ca n't ; he 's out ( 5 ) . . .", "I can't; he's out (5)..."),
        ("MY BROTHER CAN ' T STOP", "MY BROTHER CAN'T STOP"),
        ("What should you steer clear from ? & gt ; & gt ;", "What should you steer clear from? > >"),
        ("I got a sweet outfit for $ 40 on the 2 nd .", "I got a sweet outfit for $40 on the 2nd."),
        ('He said " hello there " .', 'He said "hello there".'),
        ("José Mourinho , football ’ s Lord", "José Mourinho, football’s Lord"),
        ("I won 💞 ⚾ ️", "I won 💞 ⚾"),
        ("NBA : Spurs rout Thunder | Tempo Sports", "NBA: Spurs rout Thunder | Tempo Sports"),
        ("Mr . T :) wins", "Mr. T :) wins"),
        # as people write them
        ("RT @user: I can't &lt;3 https://t.co/abc…", "I can't <3"),
        ("Look at this www.nba.com/x?y=1 pic.twitter.com/AbC1", "Look at this"),
        ("cut off here https…", "cut off here"),
        ("cut off here ht…", "cut off here"),
        ("AT&T, R&B and Q & A, &amp;lt;3", "AT&T, R&B and Q & A, <3"),
        ("meet me @ the bar, mail foo@bar.com", "meet me at the bar, mail foo@bar.com"),
        ("I write C# in\u00a0Paris\u200b\ufeff\u202e", "I write C# in Paris"),
        ("#MLB", "MLB"),
        ("(https://t.co/a) hi", "hi"),
        # nothing left
        ("RT @a @b: https://t.co/x", ""),
        ("", ""),
        ("\u200b\ufe0f", ""),
    ],
)  # fmt: skip
def test_clean_text(tweet, clean):
    assert clean_text(tweet) == clean


@pytest.mark.parametrize(
    ("tweet", "prompt"),
    [
        ("RT @ user : Paris at night", "Paris at night"),
        ("RT @bob\u200b: https://t.co/x", "RT @bob: https://t.co/x"),
        ("💞 ⚾ \ufe0f", "💞 ⚾"),
        ("!!!", "!!!"),
        ("\u200b \ufe0f\n", None),
        ("", None),
    ],
)
def test_make_prompt(tweet, prompt):
    assert make_prompt(tweet) == prompt


pieces = st.sampled_from(
    [
        "RT ",
        "@",
        "#",
        "http",
        "s",
        ":",
        "/",
        "//",
        ".",
        " ",
        "t.co",
        "&",
        "amp",
        ";",
        "'",
        "n't",
        '"',
        "(",
        ")",
        "…",
        "-",
    ]
)
tweets = st.one_of(st.text(), st.lists(pieces | st.text(max_size=3)).map("".join))


@pytest.mark.promise(20)
@given(tweets)
def test_result_is_one_visible_line(tweet):
    for text in (clean_text(tweet), visible_text(tweet), make_prompt(tweet) or ""):
        assert text == text.strip()
        assert "  " not in text
        assert not any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in text)


@given(tweets)
def test_prompt_is_none_iff_nothing_is_visible(tweet):
    assert (make_prompt(tweet) is None) == (visible_text(tweet) == "")


@given(st.lists(st.from_regex(r"[a-zA-Z]{2,8}", fullmatch=True), min_size=1, max_size=12))
def test_plain_words_are_unchanged(words):
    words = [word for word in words if word != "RT"]
    text = " ".join(words)
    assert clean_text(text) == text


@pytest.mark.promise(20)
@pytest.mark.parametrize(
    "piece",
    ["@", "# ", "http:/", "a.", "a-", "& ", '"', "( ", "www.", "h", "t.co/", " ", "RT ", ". ", "' ", "&amp;", "\u200b"],
)
def test_time_is_linear(piece):
    start = time.perf_counter()
    clean_text(piece * (100_000 // len(piece)))
    assert time.perf_counter() - start < 2
