"""CoNLL as public multimodal NER data ships it: `IMGID:<id>`, then a token and its tag a line, then a blank line."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from amia.posts import RawPost, Rejected
from amia.readers.image_folder import ImageFolder
from amia.readers.safety.json_lines import LONGEST_LINE, read_lines

__all__ = ["LONGEST_POST", "read_conll"]

LONGEST_POST = 100_000
"""Tokens. Above it the file's blank lines are missing, and the rest of it would be held in memory as one post."""

_TAG_COLUMN = {2: 1, 3: 1, 4: 3}
"""Columns in a line -> which holds the tag: 3 are token, coarse, fine (Twitter-FMNERG); 4 are CoNLL-2003."""


def read_conll(file: Path, name: str, split: str | None, images: ImageFolder) -> Iterator[RawPost | Rejected]:
    """The posts of one file, in order; `name` is how messages call it (`where` is `name:line`).

    Columns are separated by one TAB, or by one space in a line that has no TAB; tokens stay exactly as they are, the
    invisible ones too. One column means no tags. A post without an `IMGID:` line has no id and no image. A line that
    cannot be read makes its post a `Rejected` that points at the line; the posts beside it are unharmed.
    """
    block: _Block | None = None
    for number, raw in read_lines(file):
        line, problem = _decoded(raw)
        if problem is None and not line.strip(" \t"):
            # Some files have a blank line after IMGID: the post is still to come.
            if block is not None and not block.is_empty:
                yield block.finish(name, split, images)
                block = None
            continue
        if line.startswith("IMGID:") and "\t" not in line.rstrip("\t "):
            if block is not None:
                yield block.finish(name, split, images)
            block = _Block(number, line.removeprefix("IMGID:").strip(" \t") or None)
            continue
        if block is None:
            if line.startswith("-DOCSTART-"):  # CoNLL-2003's mark between documents
                continue
            block = _Block(number)
        block.add(number, line, problem)
    if block is not None:
        yield block.finish(name, split, images)


@dataclass(slots=True)
class _Block:
    """The lines of one post so far."""

    line: int
    id: str | None = None
    columns: int = 0
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    broken: tuple[int, str] | None = None
    """The first line that could not be read, and why."""

    @property
    def is_empty(self) -> bool:
        return not self.tokens and self.broken is None

    def add(self, number: int, line: str, problem: str | None) -> None:
        if self.broken is not None:
            return
        if problem is not None:
            self.broken = number, problem
            return
        cells = line.split("\t") if "\t" in line else line.split(" ")
        if self.is_empty:
            self.columns = len(cells)
        if len(cells) != self.columns:
            self.broken = number, f"{len(cells)} columns where the post began with {self.columns}"
        elif len(cells) > max(_TAG_COLUMN):
            self.broken = number, f"{len(cells)} columns; known are token, token + tag, and CoNLL's 3 and 4"
        elif len(self.tokens) == LONGEST_POST:
            self.broken = number, f"more than {LONGEST_POST} tokens: are the blank lines between posts missing?"
        else:
            self.tokens.append(cells[0])
            if len(cells) > 1:
                self.tags.append(cells[_TAG_COLUMN[len(cells)]])

    def finish(self, name: str, split: str | None, images: ImageFolder) -> RawPost | Rejected:
        if self.broken is not None:
            return Rejected(location=f"{name}:{self.broken[0]}", id=self.id, reason=self.broken[1])
        return RawPost(
            location=f"{name}:{self.line}",
            id=self.id,
            split=split,
            tokens=self.tokens,
            tags=self.tags if self.columns > 1 else None,
            image_path=images.find(self.id),
        )


def _decoded(raw: bytes | None) -> tuple[str, str | None]:
    """The line's text, or nothing and why it has none."""
    if raw is None:
        return "", f"a line of more than {LONGEST_LINE} bytes"
    try:
        return raw.decode(), None
    except UnicodeDecodeError:
        return "", "not valid UTF-8"
