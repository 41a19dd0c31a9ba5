"""The console for human-readable output. `--json` prints a single JSON object instead, without the console."""

import unicodedata
from typing import Any

from rich.console import Console
from rich.text import Text

__all__ = ["console", "escape_controls"]

BIDI_CONTROLS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that change the direction of writing: they can show `gpj.exe` as `exe.jpg`."""


class _EscapingConsole(Console):
    """Console that escapes control characters: ids, names and reasons come from untrusted corpora."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(escape_controls(text), **options)


# Without markup and emoji: folders and ids such as `[run]` and `:tada:` are printed literally.
console = _EscapingConsole(highlight=False, soft_wrap=True, markup=False, emoji=False)


def escape_controls(text: str) -> str:
    r"""Escape characters that a terminal would execute instead of showing: `\x1b[2J` for the code that clears it.

    These are control characters other than newline and tab, characters that change the direction of writing, and
    surrogates, which no stream can encode.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(character) for character in text)


def _escape(character: str) -> str:
    is_control = unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t"
    return ascii(character)[1:-1] if is_control or character in BIDI_CONTROLS else character
