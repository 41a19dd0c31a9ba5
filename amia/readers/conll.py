"""CoNLL files of multimodal NER data: `IMGID:<id>`, then a token and its tag per line, then a blank line."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from amia.posts import RawPost, Rejected
from amia.readers.image_folder import ImageFolder
from amia.readers.safety.json_lines import MAX_LINE_BYTES, read_lines
from amia.readers.source import SourceFile

__all__ = ["MAX_TOKENS", "read_conll"]

MAX_TOKENS = 100_000
"""Tokens of a post. A longer one means that blank lines are missing, and the rest of the file would be held in memory
as one post."""

_TAG_COLUMN = {2: 1, 3: 1, 4: 3}
"""Number of columns -> index of the tag: 3 are token, coarse, fine (Twitter-FMNERG); 4 are CoNLL-2003."""


def read_conll(file: SourceFile, split: str | None, images: ImageFolder) -> Iterator[RawPost | Rejected]:
    """Yield the posts of one file, in order; `location` is `name:line`.

    Columns are separated by one TAB, or by one space in a line without a TAB. Tokens stay exactly as they are, even
    invisible ones. One column means no tags. A post without an `IMGID:` line has no id and no image. A line that cannot
    be read makes its post a `Rejected` at that line; the posts around it are not affected.
    """
    block: _Block | None = None
    for number, raw in read_lines(file):
        line, problem = _decode(raw)
        if problem is None and not line.strip(" \t"):
            # Some files have a blank line after IMGID, before the post's tokens.
            if block is not None and not block.is_empty:
                yield block.finish(file.label, split, images)
                block = None
            continue
        if line.startswith("IMGID:") and "\t" not in line.rstrip("\t "):
            if block is not None:
                yield block.finish(file.label, split, images)
            block = _Block(number, line.removeprefix("IMGID:").strip(" \t") or None)
            continue
        if block is None:
            if line.startswith("-DOCSTART-"):  # document separator of CoNLL-2003
                continue
            block = _Block(number)
        block.add(number, line, problem)
    if block is not None:
        yield block.finish(file.label, split, images)


@dataclass(slots=True)
class _Block:
    """Lines of the current post."""

    line: int
    id: str | None = None
    columns: int = 0
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    error: tuple[int, str] | None = None
    """Number of the first line that cannot be read, and the reason."""

    @property
    def is_empty(self) -> bool:
        return not self.tokens and self.error is None

    def add(self, number: int, line: str, problem: str | None) -> None:
        if self.error is not None:
            return
        if problem is not None:
            self.error = number, problem
            return
        cells = line.split("\t") if "\t" in line else line.split(" ")
        if self.is_empty:
            self.columns = len(cells)
        if len(cells) != self.columns:
            self.error = number, f"{len(cells)} columns, but the first line of the post has {self.columns}"
        elif len(cells) > max(_TAG_COLUMN):
            self.error = number, f"{len(cells)} columns; supported are token, token + tag, and CoNLL's 3 and 4"
        elif len(self.tokens) == MAX_TOKENS:
            self.error = number, f"more than {MAX_TOKENS} tokens: are the blank lines between posts missing?"
        else:
            self.tokens.append(cells[0])
            if len(cells) > 1:
                self.tags.append(cells[_TAG_COLUMN[len(cells)]])

    def finish(self, name: str, split: str | None, images: ImageFolder) -> RawPost | Rejected:
        if self.error is not None:
            return Rejected(location=f"{name}:{self.error[0]}", id=self.id, reason=self.error[1])
        return RawPost(
            location=f"{name}:{self.line}",
            id=self.id,
            split=split,
            tokens=self.tokens,
            tags=self.tags if self.columns > 1 else None,
            image_path=images.find(self.id),
        )


def _decode(raw: bytes | None) -> tuple[str, str | None]:
    """Return the text of a line, or an empty text and the reason why it cannot be read."""
    if raw is None:
        return "", f"a line of more than {MAX_LINE_BYTES} bytes"
    try:
        return raw.decode(), None
    except UnicodeDecodeError:
        return "", "not valid UTF-8"
