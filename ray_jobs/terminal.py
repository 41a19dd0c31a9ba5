"""Where people read. Machines read the one JSON object of `--json` instead, alone on standard output."""

from rich.console import Console

__all__ = ["console"]

# Folders and ids are printed as they are called: in `[run]` and `:tada:` no mark-up is looked for.
console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
