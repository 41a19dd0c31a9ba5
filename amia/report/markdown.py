"""What the README of an export and the card of a data set write alike."""

from collections.abc import Sequence

__all__ = ["DEMO_NOTICE", "table"]

DEMO_NOTICE = (
    "**Made with demo weights**, which know a drawn world alone: scores and synthesized images of any other post mean "
    "nothing."
)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the first the head; columns of a head that begins with `#` are figures and stand to the right.

    Cells must hold no `|` and no end of line.
    """
    head, *others = rows
    names = [name.removeprefix("#") for name in head]
    rule = ["---:" if name.startswith("#") else "---" for name in head]
    return "".join(f"| {' | '.join(row)} |\n" for row in (names, rule, *others))
