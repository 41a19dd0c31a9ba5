"""One row of a table, or one JSON object, to a post: which names mean what, and which types they may have."""

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
"""What a post consists of -> the names it may have in a source. Of several that hold a value the first counts."""


def known_names(present: Iterable[str]) -> list[str]:
    """Those of `present` that mean something, in their order.

    Raises CorpusError when none of them holds the text, or when two have one name.
    """
    names = list(present)
    texts = [*NAMES["text"], *NAMES["tokens"]]
    if not set(texts) & set(names):
        listed = ", ".join(names) or "none"
        raise CorpusError(f"no column holds the text: looked for {', '.join(texts)}; there are {listed}. Rename one.")
    meaning = {name for group in NAMES.values() for name in group}
    known = [name for name in names if name in meaning]
    if twice := sorted({name for name in known if known.count(name) > 1}):
        raise CorpusError(f"two columns are called {twice[0]}: rename or remove one")
    return known


def read_record(
    record: Mapping[str, object], location: str, split: str | None, labels: Mapping[str, Sequence[str]] | None = None
) -> RawPost | Rejected:
    """The post that a row says, or why it says none.

    `split` is the file's, where the row names none. `labels` gives, for columns whose tags are numbers, the names that
    the numbers stand for. Images: null, a path (str), the bytes, or Hugging Face's {"bytes", "path"}.
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


def _value(record: Mapping[str, object], what: str) -> object:
    return next((value for name in NAMES[what] if (value := record.get(name)) is not None), None)


def _id(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        # 17-digit ids do not survive as floats, so two posts could end up with one id.
        raise CorpusError(f"id {value!r} is a float: write ids as strings or whole numbers")
    return _string("id", value) or None


def _string(what: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise CorpusError(f"{what} is {_type(value)}, not a string")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair, which JSON can spell: no file could hold it
        raise CorpusError(f"{what} is not valid Unicode") from error
    return value


def _strings(what: str, value: object) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise CorpusError(f"{what} is {_type(value)}, not a list of strings")
    for item in value:
        if not isinstance(item, str):
            raise CorpusError(f"{what} holds {_type(item)}, not only strings")
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
    """(bytes, path): at most one of them."""
    if isinstance(value, dict):
        value = value.get("bytes") if value.get("bytes") is not None else value.get("path")
    if isinstance(value, bytes):
        return value[: MAX_FILE_BYTES + 1], None  # too_large either way
    if value is None or isinstance(value, str):
        return None, _string("image", value) or None
    raise CorpusError(f"image is {_type(value)}, not a path, bytes or {{bytes, path}}")


def _type(value: object) -> str:
    if isinstance(value, UnsupportedValue):
        return value.kind
    names = {bool: "a truth value", int: "a number", float: "a number", str: "a string", bytes: "bytes"}
    return names.get(type(value)) or {list: "a list", dict: "an object", type(None): "null"}.get(
        type(value), type(value).__name__
    )
