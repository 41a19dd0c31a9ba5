"""Untrusted text cannot control the terminal."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_jobs.runtime.console import console, escape_controls

Amia = Callable[..., tuple[int, str, str]]

CLEAR_SCREEN = "\x1b[2J\x1b]0;title\x07"


@given(st.text(st.characters()))
def test_no_control_characters_remain(text: str) -> None:
    escaped = escape_controls(text)
    escaped.encode()
    assert not {unicodedata.category(character) for character in escaped if character not in "\n\t"} & {"Cc", "Cs"}
    directions = {unicodedata.bidirectional(character) for character in escaped}
    assert not directions & {"LRE", "RLE", "LRO", "RLO", "LRI", "RLI", "FSI"}


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], include_characters="\n\t\u200d\ufe0f")))
def test_visible_characters_are_unchanged(text: str) -> None:
    assert escape_controls(text) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        (CLEAR_SCREEN, "\\x1b[2J\\x1b]0;title\\x07"),
        ("all good\rerror", "all good\\rerror"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\x9b31m", "\\x9b31m"),
        ("caf\udce9", "caf\\udce9"),
        ("\u0645\u0631\u062d\u0628\u0627 \U0001f600", "\u0645\u0631\u062d\u0628\u0627 \U0001f600"),
    ],
)
def test_escapes(text: str, escaped: str) -> None:
    assert escape_controls(text) == escaped


@pytest.mark.promise(37)
def test_commands_escape_text_of_a_corpus(amia: Amia, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"id": f"twice {CLEAR_SCREEN}", "text": "a"},
        {"id": f"twice {CLEAR_SCREEN}", "text": "b"},
        {"id": "c", "tokens": ["a"], "tags": [f"B-{CLEAR_SCREEN}"]},
        {"id": "d", "text": "a", "split": CLEAR_SCREEN},
    ]
    monkeypatch.chdir(tmp_path)
    corpus = tmp_path / f"posts {CLEAR_SCREEN}.jsonl"
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(console, "_file", None)
    code, stdout, _ = amia("doctor", corpus)
    assert code == 0
    assert "\\x1b[2J" in stdout
    assert "\x1b" not in stdout
    corpus.write_text("{}")
    code, _, stderr = amia("ingest", corpus, "--run", tmp_path / "run", "--config", "demo")
    assert code == 3
    assert stderr.startswith("error: ")
    assert "\\x1b[2J" in stderr
    assert "\x1b" not in stderr
