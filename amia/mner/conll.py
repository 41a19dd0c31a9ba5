r"""Predictions as CoNLL: what other people's scorers and a person's eyes read.

`IMGID:<id>`, then token, gold and predicted tag a line with a TAB between them, then a blank line. Gold stands before
the prediction, as conlleval wants it (`-d '\t'`, without the `IMGID:` lines). Of three columns `amia.readers.conll`
takes the second for the tag: such a file reads back as a corpus with its gold tags, and the prediction is left out.
"""

import re
from collections.abc import Iterable

from amia.mner.evaluation import ScoredPost

__all__ = ["to_conll"]

_BREAKS = re.compile(r"[\t\r\n]")
"""What a line of columns cannot hold; everything else in a token or id stays as it is."""


def to_conll(posts: Iterable[ScoredPost]) -> str:
    """The posts in order; a TAB or an end of line inside a token or id is written as a space."""
    return "".join(map(_block, posts))


def _block(post: ScoredPost) -> str:
    rows = zip(post.tokens, post.gold, post.predicted, strict=True)
    lines = [f"{_BREAKS.sub(' ', token)}\t{gold}\t{predicted}" for token, gold, predicted in rows]
    return "\n".join([f"IMGID:{_BREAKS.sub(' ', post.id)}", *lines, "", ""])
