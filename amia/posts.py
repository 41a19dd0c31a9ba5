"""Posts: one short text, optionally an image, optionally entity tags.

A reader (`amia.readers`) yields the content of a source as `RawPost`; `validate_post` converts it to a `Post`, or to a
`Rejected` with the reason. A post has two tag columns: `tags` exactly as read, for other people's code, and `ner_tags`
as valid BIO2 with the usual entity types, for recognizers.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from amia.errors import CorpusError

__all__ = [
    "SPLITS",
    "Post",
    "RawPost",
    "Rejected",
    "canonical_split",
    "content_hash",
    "hash_post",
    "ordered_splits",
    "to_bio2",
    "validate_post",
]

SPLITS = {
    "train": "train",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
"""Names of splits in public data -> their names in Hugging Face's `datasets`, which are used here."""

RENAMED_TYPES = {"OTHER": "MISC"}
"""Twitter-2015 uses OTHER for what Twitter-2017 and all recognizers call MISC."""

MAX_CHARS = 1 << 20
"""Characters of a post's text, tokens and tags together. A longer record is rejected."""

_TAG = re.compile(r"(?:O|[BI]-\S+)\Z")
_SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPost:
    """Content of one post in a source, before validation."""

    location: str
    """Location in the source, for messages: `train.txt:17`, `posts.parquet#4`, `00000.tar/abc`."""
    id: str | None = None
    split: str | None = None
    text: str | None = None
    tokens: Sequence[str] | None = None
    tags: Sequence[str] | None = None
    image: bytes | None = None
    """Bytes of the image, if the source contains them (Parquet, tar)."""
    image_path: str | None = None
    """Otherwise the path of the image, relative to the corpus' image folder, with `/`. None: the post has no image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A record of a source that is not a valid post; it goes to quarantine with its reason."""

    location: str
    id: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One validated post. The text is as written; `amia.text` cleans it."""

    id: str
    text: str
    split: str = "train"
    tokens: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    """Tags as read, one per token."""
    ner_tags: tuple[str, ...] | None = None
    """The same tags as valid BIO2 with OTHER = MISC, one per token."""
    repaired: int = 0
    """Number of orphan `I-` tags that became `B-` in `ner_tags`."""
    image: bytes | None = None
    image_path: str | None = None
    location: str = ""


def canonical_split(name: str | None) -> str:
    """Return the split's name in Hugging Face's spelling; None becomes `train`.

    Raises CorpusError for a name that cannot be part of a file name (`[A-Za-z0-9_]+`).
    """
    if name is None:
        return "train"
    if not _SPLIT.match(name):
        raise CorpusError(f"split {name[:40]!r}: use letters, digits and underscores only")
    return SPLITS.get(name.lower(), name)


def ordered_splits(names: Iterable[str]) -> list[str]:
    """Sort splits: train, validation, test, then others by name."""
    standard = list(dict.fromkeys(SPLITS.values()))
    return sorted(names, key=lambda name: (standard.index(name) if name in standard else len(standard), name))


def to_bio2(tags: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """Convert tags as read to valid BIO2; also return the number of repaired orphan `I-` tags.

    An `I-X` that follows neither `B-X` nor `I-X` opens an entity and becomes `B-X`, as every lenient scorer of the
    field counts it. The gold tags of Twitter-2015 have 374 of them. OTHER is renamed MISC.

    Raises CorpusError if a tag is neither `O` nor `B-TYPE` nor `I-TYPE`.
    """
    fixed: list[str] = []
    repaired = 0
    current = ""
    for tag in tags:
        if not _TAG.match(tag):
            raise CorpusError(f"tag {tag[:40]!r} is neither O nor B-TYPE nor I-TYPE")
        if tag == "O":
            fixed.append(tag)
            current = ""
            continue
        kind = RENAMED_TYPES.get(tag[2:], tag[2:])
        orphan = tag[0] == "I" and kind != current
        repaired += orphan
        fixed.append(f"B-{kind}" if orphan else f"{tag[0]}-{kind}")
        current = kind
    return tuple(fixed), repaired


def content_hash(raw: RawPost) -> str:
    """Return 32 hex digits over the post's content without its location; equal on every machine."""
    return hash_post(raw)[0]


def hash_post(raw: RawPost) -> tuple[str, bytes]:
    """Return the content hash and the body hash of a post.

    The body hash is 16 bytes over text, tokens, tags and image: the content without location, id and split.
    """
    tokens, tags = _length_prefixed(raw.tokens), _length_prefixed(raw.tags)
    body = _join_parts(_utf8(raw.text), tokens, tags, raw.image, _utf8(raw.image_path))
    content = hashlib.blake2b(_join_parts(_utf8(raw.id), _utf8(canonical_split(raw.split))), digest_size=16)
    content.update(body)
    return content.hexdigest(), hashlib.blake2b(body, digest_size=16).digest()


def validate_post(raw: RawPost) -> Post | Rejected:
    """Convert a record to a `Post`, or to a `Rejected` with the reason. Without an id, the content hash is the id.

    Rejected are records without text, tags without tokens, invalid tags, different numbers of tags and tokens, splits
    that cannot be part of a file name, text that is not valid Unicode, and more than `MAX_CHARS` characters.
    """
    strings = (raw.text or "", raw.id or "", raw.image_path or "", *(raw.tokens or ()), *(raw.tags or ()))
    if sum(map(len, strings)) > MAX_CHARS:
        return Rejected(location=raw.location, id=None, reason=f"more than {MAX_CHARS} characters")
    text = raw.text if raw.text is not None else " ".join(raw.tokens or ())
    try:
        split = canonical_split(raw.split)
        for string in strings:
            string.encode()
        if not text.strip():
            raise CorpusError("no text")
        if raw.tags is not None and raw.tokens is None:
            raise CorpusError("tags without tokens")
        if raw.tags is not None and raw.tokens is not None and len(raw.tags) != len(raw.tokens):
            raise CorpusError(f"{len(raw.tokens)} tokens but {len(raw.tags)} tags")
        ner_tags, repaired = (None, 0) if raw.tags is None else to_bio2(raw.tags)
    except UnicodeEncodeError:
        return Rejected(location=raw.location, id=None, reason="text is not valid Unicode")
    except CorpusError as error:
        return Rejected(location=raw.location, id=raw.id, reason=str(error))
    return Post(
        id=raw.id or content_hash(raw),
        text=text,
        split=split,
        tokens=None if raw.tokens is None else tuple(raw.tokens),
        tags=None if raw.tags is None else tuple(raw.tags),
        ner_tags=ner_tags,
        repaired=repaired,
        image=raw.image,
        image_path=raw.image_path,
        location=raw.location,
    )


def _join_parts(*parts: bytes | None) -> bytes:
    """Concatenate parts, each after its length, so that different parts give different bytes."""
    return b"".join([b"-" if part is None else b"+%d:%b" % (len(part), part) for part in parts])


def _length_prefixed(strings: Sequence[str] | None) -> bytes | None:
    """Concatenate strings, each after its length, so that different lists give different bytes."""
    if strings is None:
        return None
    encoded = [string.encode("utf-8", "surrogatepass") for string in strings]
    return b"".join(b"%d:%b" % (len(string), string) for string in encoded)


def _utf8(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogatepass")
