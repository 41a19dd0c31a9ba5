"""Conversion of a table row or a JSON object to a post: names and types of its fields."""

from collections.abc import Iterable, Mapping, Sequence

from amia.errors import CorpusError
from amia.images import MAX_FILE_BYTES
from amia.posts import RawPost, Rejected
from amia.readers.safety.arrow_rows import UnsupportedValue

__all__ = ["NAMES", "known_names", "read_record"]

NAMES: dict[str, tuple[str, ...]] = {
    "id": ("id", "tweet_id", "post_id", "img_id"),
    "split": ("split",),
    "text": ("text", "tweet", "caption"),
    "tokens": ("tokens", "words"),
    "tags": ("tags", "ner_tags"),
    "image": ("image", "image_path", "file_name"),
}
"""Field of a post -> its possible names in a source. The first one with a value counts."""


def known_names(present: Iterable[str]) -> list[str]:
    """Return those of `present` that name a field of a post, in order.

    Raises CorpusError if none of them holds the text, or if two are equal.
    """
    names = list(present)
    texts = [*NAMES["text"], *NAMES["tokens"]]
    if not set(texts) & set(names):
        available = ", ".join(names) or "none"
        raise CorpusError(
            f"no column holds the text: looked for {', '.join(texts)}; there are {available}. Rename one."
        )
    fields = {name for group in NAMES.values() for name in group}
    known = [name for name in names if name in fields]
    if duplicates := sorted({name for name in known if known.count(name) > 1}):
        raise CorpusError(f"two columns are called {duplicates[0]}: rename or remove one")
    return known


def read_record(
    record: Mapping[str, object], location: str, split: str | None, labels: Mapping[str, Sequence[str]] | None = None
) -> RawPost | Rejected:
    """Convert a row to a post, or to a `Rejected` with the reason.

    `split` is that of the file, for rows without one. `labels` maps columns of numbered tags to the names of the
    numbers. An image is null, a path (str), its bytes, or Hugging Face's {"bytes", "path"}.
    """
    post_id: str | None = None
    try:
        post_id = _id(_value(record, "id"))
        image, image_path = _image(_value(record, "image"))
        return RawPost(
            location=location,
            id=post_id,
            split=_string("split", _value(record, "split")) or split,
            text=_string("text", _value(record, "text")),
            tokens=_strings("tokens", _value(record, "tokens")),
            tags=_tags(record, labels or {}),
            image=image,
            image_path=image_path,
        )
    except CorpusError as error:
        return Rejected(location=location, id=post_id, reason=str(error))


def _value(record: Mapping[str, object], field: str) -> object:
    for name in NAMES[field]:
        if (value := record.get(name)) is not None:
            return value
    return None


def _id(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        # Floats cannot represent 17-digit ids, so two posts could get the same id.
        raise CorpusError(f"id {value!r} is a float: write ids as strings or integers")
    return _string("id", value) or None


def _string(field: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise CorpusError(f"{field} is {_type_name(value)}, not a string")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # a lone surrogate, which JSON can escape but UTF-8 cannot encode
        raise CorpusError(f"{field} is not valid Unicode") from error
    return value


def _strings(field: str, value: object) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise CorpusError(f"{field} is {_type_name(value)}, not a list of strings")
    for item in value:
        if not isinstance(item, str):
            raise CorpusError(f"{field} holds {_type_name(item)}, not only strings")
    return value


def _tags(record: Mapping[str, object], labels: Mapping[str, Sequence[str]]) -> list[str] | None:
    for name in NAMES["tags"]:
        value = record.get(name)
        if isinstance(value, list) and name in labels:
            return [_label(number, labels[name]) for number in value]
        if value is not None:
            return _strings(name, value)
    return None


def _label(number: object, names: Sequence[str]) -> str:
    if not isinstance(number, int) or not 0 <= number < len(names):
        raise CorpusError(f"tag number {str(number)[:40]} is not one of the {len(names)} labels")
    return names[number]


def _image(value: object) -> tuple[bytes | None, str | None]:
    """Return (bytes, path), at most one of which is not None."""
    if isinstance(value, dict):
        value = value.get("bytes") if value.get("bytes") is not None else value.get("path")
    if isinstance(value, bytes):
        return value[: MAX_FILE_BYTES + 1], None  # one byte more than the limit is enough for `too_large`
    if value is None or isinstance(value, str):
        return None, _string("image", value) or None
    raise CorpusError(f"image is {_type_name(value)}, not a path, bytes or {{bytes, path}}")


def _type_name(value: object) -> str:
    if isinstance(value, UnsupportedValue):
        return value.kind
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", bytes: "bytes"}
    return names.get(type(value)) or {list: "a list", dict: "an object", type(None): "null"}.get(
        type(value), type(value).__name__
    )
