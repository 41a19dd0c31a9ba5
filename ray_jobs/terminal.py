"""Where people read. Machines read the one JSON object of `--json` instead, alone on standard output."""

from typing import Any

from rich.console import Console
from rich.text import Text

from ray_jobs.spelled import spelled_out

__all__ = ["console"]


class _Terminal(Console):
    """Ids, names and reasons come from a corpus: whatever is printed is shown, and nothing of it obeyed."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(spelled_out(text), **options)


# Folders and ids are printed as they are called: in `[run]` and `:tada:` no mark-up is looked for.
console = _Terminal(highlight=False, soft_wrap=True, markup=False, emoji=False)
