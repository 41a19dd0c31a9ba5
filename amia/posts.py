"""What a post is: one short text, perhaps an image, perhaps entity tags.

A reader (`amia.readers`) says what stands in a source as `RawPost`; `validate_post` turns that into a `Post` or says in a
`Rejected` why it is none. Two tag columns live side by side: `tags` exactly as read, and `ner_tags` as valid BIO2 with
the field's entity types, so that what other people's code expects and what a recognizer may trust are never confused.
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
"""How public data names its splits, and the name that Hugging Face's `datasets` gives them, which is ours."""

RENAMED_TYPES = {"OTHER": "MISC"}
"""Twitter-2015 says OTHER where Twitter-2017 and every recognizer say MISC."""

MAX_CHARS = 1 << 20
"""Characters of a post's text, tokens and tags together. More is no post, and would take minutes to be read."""

_TAG = re.compile(r"(?:O|[BI]-\S+)\Z")
_SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPost:
    """What a source says of one post, before anything is checked."""

    location: str
    """Where it stands in the source, for messages: `train.txt:17`, `posts.parquet#4`, `00000.tar/abc`."""
    id: str | None = None
    split: str | None = None
    text: str | None = None
    tokens: Sequence[str] | None = None
    tags: Sequence[str] | None = None
    image: bytes | None = None
    """The image's bytes, where they lie inside the source (Parquet, tar)."""
    image_path: str | None = None
    """Else the image's path: relative to the corpus' image folder, with `/`. None: the post has no image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Something in a source that is no post: it goes to quarantine with its reason."""

    location: str
    id: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One post that went through the door. Texts are as written; cleaning is `amia.text`' business."""

    id: str
    text: str
    split: str = "train"
    tokens: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    """Tags as read, one a token."""
    ner_tags: tuple[str, ...] | None = None
    """The same as valid BIO2 with OTHER = MISC, one a token."""
    repaired: int = 0
    """How many orphan `I-` became `B-` in `ner_tags`."""
    image: bytes | None = None
    image_path: str | None = None
    location: str = ""


def canonical_split(name: str | None) -> str:
    """The split's name as Hugging Face spells it; a post without any split is `train`.

    Raises CorpusError for a name that could not be part of a file name (`[A-Za-z0-9_]+`).
    """
    if name is None:
        return "train"
    if not _SPLIT.match(name):
        raise CorpusError(f"split {name[:40]!r}: use letters, digits and underscores only")
    return SPLITS.get(name.lower(), name)


def ordered_splits(names: Iterable[str]) -> list[str]:
    """Train, validation and test as people expect them, then others by name."""
    usual = list(dict.fromkeys(SPLITS.values()))
    return sorted(names, key=lambda name: (usual.index(name) if name in usual else len(usual), name))


def to_bio2(tags: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """Valid BIO2 from tags as read, and how many orphan `I-` were repaired.

    An `I-X` that follows neither `B-X` nor `I-X` opens an entity: it becomes `B-X`, which is how every lenient scorer
    in the field counts it. Twitter-2015's gold tags hold 374 of them. OTHER is renamed MISC.

    Raises CorpusError when a tag is neither `O` nor `B-TYPE` nor `I-TYPE`.
    """
    fixed: list[str] = []
    repaired = 0
    inside = ""
    for tag in tags:
        if not _TAG.match(tag):
            raise CorpusError(f"tag {tag[:40]!r} is neither O nor B-TYPE nor I-TYPE")
        if tag == "O":
            fixed.append(tag)
            inside = ""
            continue
        kind = RENAMED_TYPES.get(tag[2:], tag[2:])
        orphan = tag[0] == "I" and kind != inside
        repaired += orphan
        fixed.append(f"B-{kind}" if orphan else f"{tag[0]}-{kind}")
        inside = kind
    return tuple(fixed), repaired


def content_hash(raw: RawPost) -> str:
    """32 hex digits of everything the source says of a post but its place; equal on every machine."""
    digest = hashlib.blake2b(digest_size=16)
    parts: list[bytes | None] = [
        _utf8(raw.id),
        _utf8(canonical_split(raw.split)),
        _utf8(raw.text),
        _joined(raw.tokens),
        _joined(raw.tags),
        raw.image,
        _utf8(raw.image_path),
    ]
    for part in parts:
        digest.update(b"-" if part is None else b"+%d:" % len(part))
        digest.update(part or b"")
    return digest.hexdigest()


def validate_post(raw: RawPost) -> Post | Rejected:
    """A `Post` (its id is the content hash where the source gives none), or why this is no post.

    No post: no text at all, tags without tokens, tags that cannot be read, another number of tags than tokens, a split
    that cannot be a file's name, text that is not valid Unicode, more than `MAX_CHARS` characters.
    """
    pieces = (raw.text or "", raw.id or "", raw.image_path or "", *(raw.tokens or ()), *(raw.tags or ()))
    if sum(map(len, pieces)) > MAX_CHARS:
        return Rejected(location=raw.location, id=None, reason=f"more than {MAX_CHARS} characters")
    text = raw.text if raw.text is not None else " ".join(raw.tokens or ())
    try:
        split = canonical_split(raw.split)
        for piece in pieces:
            piece.encode()
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


def _joined(pieces: Sequence[str] | None) -> bytes | None:
    """Each piece after its length, so that no two lists give the same bytes."""
    if pieces is None:
        return None
    encoded = [piece.encode("utf-8", "surrogatepass") for piece in pieces]
    return b"".join(b"%d:%b" % (len(piece), piece) for piece in encoded)


def _utf8(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogatepass")
