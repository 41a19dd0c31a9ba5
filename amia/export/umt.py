r"""The layout that UMT, MAF and most other public code reads: CoNLL text files, and one folder of `<id>.jpg`.

A post is a line `IMGID:<id>`, one line with token, TAB and tag for each token, and a blank line, which HVPNeT requires
after the last post too. Tags are written as they were read, including OTHER and orphan `I-` tags of Twitter-2015: the
readers rename OTHER themselves, and the published scores include the orphans.
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
"""Pixels. UMT and MAF crop a square of this side from an image without resizing it, and silently use the placeholder
instead of an image with a shorter side."""
RESERVED = frozenset(name.partition(".")[0] for name in PLACEHOLDERS)
"""Ids whose image would replace the placeholder. Twitter-2017 has a post 17_06_4705."""

_WHITESPACE = re.compile(r"[\t\r\n ]")
_TEXT_FILES = {"validation": "valid.txt"}


@dataclass(frozen=True, slots=True)
class UmtLayout:
    """Converts shards of one arm to this layout."""

    images: ImageExporter
    folder: str
    """Name of the image folder."""
    collisions: frozenset[str]
    """Ids, in lower case, that are equal on a case-insensitive file system."""

    def convert(self, shard: str, rows: Sequence[Mapping[str, Any]]) -> ShardFiles:
        """Return the images and the text of a shard's posts. Posts without tags are left out and counted.

        No public reader accepts such a post, and an invented `O` would count as a gold tag.
        """
        result = ShardFiles()
        taken = RESERVED | self.collisions
        for row in rows:
            if not row["tokens"] or not row["tags"]:
                result.untagged += 1
                continue
            key = to_filename(row["id"], taken)
            if key != row["id"]:
                result.renamed[row["id"]] = key
            tokens = [_sanitize(token) for token in row["tokens"]]
            result.altered += sum(token != original for token, original in zip(tokens, row["tokens"], strict=True))
            result.text += conll_block(key, tokens, row["tags"])
            result.posts += 1
            if (image := self.images.convert(row)) is None:
                result.without_image.append(key)
            else:
                result.files[f"{self.folder}/{key}.jpg"] = image
        return result


def text_file(split: str) -> str:
    """Return the file name of a split: `train.txt`, `valid.txt`, `test.txt`, or the name of any other split."""
    return _TEXT_FILES.get(split, f"{split}.txt")


def conll_block(key: str, tokens: Sequence[str], tags: Sequence[str]) -> str:
    """Return the lines of one post."""
    lines = [f"{token}\t{tag}" for token, tag in zip(tokens, tags, strict=True)]
    return "\n".join([f"IMGID:{key}", *lines, "", ""])


def _sanitize(token: str) -> str:
    """Return the token in a form that this layout can represent.

    A TAB or a line break would break the file, and UMT splits a post at spaces again. Each becomes a no-break space,
    which separates words for the BERT tokenizer like any space. A token that looks like the first line of a post is
    prefixed with a zero-width space, which the BERT tokenizer drops.
    """
    token = _WHITESPACE.sub("\u00a0", token)
    return f"\u200b{token}" if token.startswith("IMGID:") else token
