"""What a corpus says stays text on a terminal, too."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_jobs.runtime.console import console, escape_controls

Amia = Callable[..., tuple[int, str, str]]

CLEARED = "\x1b[2J\x1b]0;title\x07"


@given(st.text(st.characters()))
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    spelled = escape_controls(text)
    spelled.encode()
    assert not {unicodedata.category(each) for each in spelled if each not in "\n\t"} & {"Cc", "Cs"}
    assert not {unicodedata.bidirectional(each) for each in spelled} & {"LRE", "RLE", "LRO", "RLO", "LRI", "RLI", "FSI"}


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], include_characters="\n\t\u200d\ufe0f")))
def test_what_can_be_seen_stays_as_it_is(text: str) -> None:
    assert escape_controls(text) == text


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        (CLEARED, "\\x1b[2J\\x1b]0;title\\x07"),
        ("all good\rerror", "all good\\rerror"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\x9b31m", "\\x9b31m"),
        ("caf\udce9", "caf\\udce9"),
        ("\u0645\u0631\u062d\u0628\u0627 \U0001f600", "\u0645\u0631\u062d\u0628\u0627 \U0001f600"),
    ],
)
def test_spelling(text: str, spelled: str) -> None:
    assert escape_controls(text) == spelled


@pytest.mark.promise(37)
def test_ids_names_and_reasons_of_a_corpus(amia: Amia, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"id": f"twice {CLEARED}", "text": "a"},
        {"id": f"twice {CLEARED}", "text": "b"},
        {"id": "c", "tokens": ["a"], "tags": [f"B-{CLEARED}"]},
        {"id": "d", "text": "a", "split": CLEARED},
    ]
    monkeypatch.chdir(tmp_path)
    corpus = tmp_path / f"posts {CLEARED}.jsonl"
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(console, "_file", None)
    code, said, _ = amia("doctor", corpus)
    assert code == 0
    assert "\\x1b[2J" in said
    assert "\x1b" not in said
    corpus.write_text("{}")
    code, _, complained = amia("ingest", corpus, "--run", tmp_path / "run", "--config", "demo")
    assert code == 3
    assert complained.startswith("error: ")
    assert "\\x1b[2J" in complained
    assert "\x1b" not in complained
