"""Where people read. Machines read the one JSON object of `--json` instead, alone on standard output."""

import unicodedata
from typing import Any

from rich.console import Console
from rich.text import Text

__all__ = ["console", "escape_controls"]


# MERGED FROM ray_jobs.runtime.console: Text of strangers on somebody's terminal, which obeys some characters instead of showing them.
class _Terminal(Console):
    """Ids, names and reasons come from a corpus: whatever is printed is shown, and nothing of it obeyed."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(escape_controls(text), **options)


# Folders and ids are printed as they are called: in `[run]` and `:tada:` no mark-up is looked for.
console = _Terminal(highlight=False, soft_wrap=True, markup=False, emoji=False)


_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""They show what follows from right to left: `gpj.exe` as `exe.jpg`."""


def escape_controls(text: str) -> str:
    r"""The text with what a terminal would obey as its escape: `\x1b[2J` for what clears the screen.

    Those are controls (lines and tabs may stay), what turns the direction of writing, and halves of characters, which
    no stream takes.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    obeyed = unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t"
    return ascii(character)[1:-1] if obeyed or character in _TURNING else character
