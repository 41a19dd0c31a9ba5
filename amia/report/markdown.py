"""Markdown shared by the README of an export and the data set card."""

from collections.abc import Sequence

__all__ = ["DEMO_NOTICE", "markdown_table"]

DEMO_NOTICE = (
    "**Made with demo weights**, which are trained on a synthetic demo corpus only: their scores and synthesized "
    "images are meaningless for any other posts."
)


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Format rows of cells, the first of which is the header; columns whose name starts with `#` are right-aligned.

    Cells must not contain `|` or line breaks.
    """
    head, *body = rows
    names = [name.removeprefix("#") for name in head]
    rule = ["---:" if name.startswith("#") else "---" for name in head]
    return "".join(f"| {' | '.join(row)} |\n" for row in (names, rule, *body))
