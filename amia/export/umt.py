r"""The layout that UMT's, MAF's and most other public code reads: CoNLL text files, and one folder of `<id>.jpg`.

A block is `IMGID:<id>`, then a token, a TAB and its tag a line, then a blank line, which HVPNeT needs after the last
post too. Tags stand as they were read, Twitter-2015's OTHER and its orphan `I-` among them: the readers rename OTHER
themselves, and the published scores count the orphans.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amia.export.filenames import to_filename
from amia.export.images import PLACEHOLDERS, ImageExporter
from amia.export.shard import ShardFiles

__all__ = ["MIN_SIZE", "RESERVED", "UmtLayout", "conll_block", "text_file"]

MIN_SIZE = 224
"""Pixels. UMT and MAF cut so much out of an image without resizing it, and show the placeholder instead of any image
with a shorter side, without a word."""
RESERVED = frozenset(name.partition(".")[0] for name in PLACEHOLDERS)
"""Ids whose image would be taken for the placeholder. Twitter-2017 has a post 17_06_4705."""

_BREAKS = re.compile(r"[\t\r\n ]")
_TEXT_FILES = {"validation": "valid.txt"}


@dataclass(frozen=True, slots=True)
class UmtLayout:
    """One arm in this layout."""

    pictures: ImageExporter
    folder: str
    """Name of the image folder."""
    clashing: frozenset[str]
    """Ids, in lower case, that a disk which ignores case would take for each other."""

    def part(self, shard: str, rows: Sequence[Mapping[str, Any]]) -> ShardFiles:
        """The images and the text of a shard's posts; a post without tags is left out and counted.

        No public reader has a place for such a post, and a made-up `O` would pass for gold.
        """
        part = ShardFiles()
        taken = RESERVED | self.clashing
        for row in rows:
            if not row["tokens"] or not row["tags"]:
                part.untagged += 1
                continue
            key = to_filename(row["id"], taken)
            if key != row["id"]:
                part.renamed[row["id"]] = key
            tokens = [_held(token) for token in row["tokens"]]
            part.altered += sum(token != read for token, read in zip(tokens, row["tokens"], strict=True))
            part.text += conll_block(key, tokens, row["tags"])
            part.posts += 1
            if (picture := self.pictures.of(row)) is None:
                part.without_image.append(key)
            else:
                part.files[f"{self.folder}/{key}.jpg"] = picture
        return part


def text_file(split: str) -> str:
    """The file of a split: `train.txt`, `valid.txt`, `test.txt`, any other under its own name."""
    return _TEXT_FILES.get(split, f"{split}.txt")


def conll_block(key: str, tokens: Sequence[str], tags: Sequence[str]) -> str:
    """One post."""
    lines = [f"{token}\t{tag}" for token, tag in zip(tokens, tags, strict=True)]
    return "\n".join([f"IMGID:{key}", *lines, "", ""])


def _held(token: str) -> str:
    """The token as this layout can hold it.

    A TAB or an end of line would break the file, and UMT cuts a post at its spaces again: each becomes a no-break
    space, at which BERT's tokenizer parts words as it does at any space. A token that would pass for the head of a post
    gets a zero-width space before it, which BERT's tokenizer drops.
    """
    token = _BREAKS.sub("\u00a0", token)
    return f"\u200b{token}" if token.startswith("IMGID:") else token
