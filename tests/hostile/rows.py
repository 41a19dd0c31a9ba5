"""Hostile rows of each corpus format, with their expected results."""

import json
from dataclasses import dataclass, field
from typing import Any

from tests.hostile.images import IMAGES, good_image
from tests.hostile.texts import IDS, INVISIBLE, TEXTS

__all__ = ["CONLL", "IMAGE_POSTS", "JSON_LINES", "ONLY_ON_DISK", "PATHS", "POSTS", "Expected", "Post", "good_post"]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Expected result of a row."""

    image: str = "no_image"
    synthesis: str = "ok"
    rejected: str | None = None
    """Part of the reason, if the row is rejected."""


@dataclass(frozen=True, kw_only=True)
class Post:
    """A row that every format can represent."""

    id: str
    text: str | None = None
    tokens: list[str] | None = None
    tags: list[str] | None = None
    image: bytes | None = None
    expected: Expected = field(default_factory=Expected)

    @property
    def record(self) -> dict[str, Any]:
        """Fields of the row without its image."""
        names = {"id": self.id, "text": self.text, "tokens": self.tokens, "tags": self.tags}
        return {name: value for name, value in names.items() if value is not None}


def rejected(reason: str) -> Expected:
    return Expected(rejected=reason)


def good_post(number: int) -> Post:
    """Return a valid post that differs for every number."""
    tokens = ["Number", str(number), "is", "a", "red", "bridge", "in", f"Kyoto{number}"]
    tags = ["O"] * 7 + ["B-LOC"]
    return Post(id=f"good-{number}", tokens=tokens, tags=tags, image=good_image(number), expected=Expected(image="ok"))


def _texts() -> list[Post]:
    no_prompt = Expected(synthesis="no_prompt")
    return [
        *(Post(id=f"text {name}", text=text) for name, text in TEXTS.items()),
        *(Post(id=f"invisible {name}", text=text, expected=no_prompt) for name, text in INVISIBLE.items()),
        *(Post(id=post_id, text=f"unusual id: {name}") for name, post_id in IDS.items()),
        Post(id="empty", text="", expected=rejected("no text")),
        Post(id="white space", text=" \t\n\u00a0\u3000\u2003", expected=rejected("no text")),
        Post(id="too long", text="x" * 1_048_577, expected=rejected("more than")),
        Post(id="twice", text="duplicate", expected=Expected()),
        Post(id="twice", text="duplicate", expected=rejected("duplicate id")),
    ]


def _tagged() -> list[Post]:
    words = ["Ada", "Lovelace", "left"]

    def tags(name: str, *values: str, expected: Expected | None = None) -> Post:
        return Post(id=f"tags {name}", tokens=words, tags=list(values), expected=expected or Expected())

    return [
        tags("orphan I", "I-PER", "I-PER", "O"),
        tags("another type inside", "B-PER", "I-LOC", "O"),
        tags("OTHER", "B-OTHER", "I-OTHER", "O"),
        tags("a type of its own", "B-<b>", "I-<b>", "O"),
        tags("BIOES", "S-PER", "O", "O", expected=rejected("tag 'S-PER'")),
        tags("unknown", "PERSON", "O", "O", expected=rejected("tag 'PERSON'")),
        tags("small letters", "b-per", "o", "o", expected=rejected("tag 'b-per'")),
        tags("space", "B-PER SON", "O", "O", expected=rejected("tag 'B-PER SON'")),
        tags("no type", "B-", "O", "O", expected=rejected("tag 'B-'")),
        tags("empty", "", "O", "O", expected=rejected("tag ''")),
        tags("line", "B-A\nB", "O", "O", expected=rejected("tag 'B-A")),
        tags("too few", "O", "O", expected=rejected("3 tokens but 2 tags")),
        tags("too many", "O", "O", "O", "O", expected=rejected("3 tokens but 4 tags")),
        tags("none", expected=rejected("3 tokens but 0 tags")),
        Post(id="tags without tokens", text="a", tags=["O"], expected=rejected("tags without tokens")),
        Post(id="no tokens", tokens=[], tags=[], expected=rejected("no text")),
        Post(id="white tokens", tokens=[" ", "\u00a0"], tags=["O", "O"], expected=rejected("no text")),
        Post(id="odd tokens", tokens=["", " ", "\u200d", "a b", "\u2028"], tags=["O"] * 5),
        Post(id="many tokens", tokens=["word"] * 10_000, tags=["O"] * 10_000),
    ]


POSTS: list[Post] = [*_texts(), *_tagged()]
"""Posts whose defects do not depend on the format."""

IMAGE_POSTS: list[Post] = [
    Post(id=f"image {name}", text=f"an image: {name}", image=data, expected=Expected(image=status))
    for name, (data, status) in IMAGES.items()
]

PATHS: dict[str, str] = {
    "gone.jpg": "bad_image(missing)",
    "good.jpg/x.jpg": "bad_image(missing)",
    "nul\0.jpg": "bad_image(missing)",
    "%2e%2e/secret.jpg": "bad_image(missing)",
    "file:secret.jpg": "bad_image(missing)",
    "https://example.org/a.jpg": "bad_image(http)",
    "pipe:cat secret.jpg": "bad_image(missing)",
    "~/secret.jpg": "bad_image(missing)",
    "$HOME/secret.jpg": "bad_image(missing)",
    "*.jpg": "bad_image(missing)",
    "GOOD.JPG": "bad_image(missing)",
    "circle.jpg": "bad_image(missing)",
    "../secret.jpg": "bad_image(outside_root)",
    "sub/../../secret.jpg": "bad_image(outside_root)",
    "..\\secret.jpg": "bad_image(outside_root)",
    "sub\\..\\..\\secret.jpg": "bad_image(outside_root)",
    "/etc/passwd": "bad_image(outside_root)",
    "//etc/passwd": "bad_image(outside_root)",
    "/proc/self/environ": "bad_image(outside_root)",
    "/dev/zero": "bad_image(outside_root)",
    "..": "bad_image(outside_root)",
    "link-out.jpg": "bad_image(outside_root)",
    "folder-out/secret.jpg": "bad_image(outside_root)",
    "device-out.jpg": "bad_image(outside_root)",
    ".": "bad_image(not_a_file)",
    "folder.jpg": "bad_image(not_a_file)",
    "pipe.jpg": "bad_image(not_a_file)",
    "socket.jpg": "bad_image(not_a_file)",
    "x" * 5_000: "bad_image(unreadable)",
    "a/" * 3_000 + "a.jpg": "bad_image(unreadable)",
    "empty.jpg": "bad_image(empty)",
    "large.jpg": "bad_image(too_large)",
    "link-in.jpg": "ok",
    "sub/good.jpg": "ok",
    "./sub//good.jpg": "ok",
    "control\x1b[2J\n.jpg": "ok",
    "n" * 240 + ".jpg": "ok",
    "really-a-png.jpg": "ok",
    "no-ending": "ok",
}
"""Paths in a row, relative to the folder of `corpora.image_folder` -> image status of the post."""

ONLY_ON_DISK = (
    *("link-out.jpg", "folder-out/secret.jpg", "device-out.jpg", "link-in.jpg", "circle.jpg"),
    *("folder.jpg", "pipe.jpg", "socket.jpg", "large.jpg", "control\x1b[2J\n.jpg"),
    *("x" * 5_000, "a/" * 3_000 + "a.jpg"),
)
"""Those paths that name something which an upload to a bucket leaves out, or which no key can be."""

JSON_LINES: dict[bytes, Expected] = {
    b"{": rejected("not valid JSON"),
    b'{"text": "truncated': rejected("not valid JSON"),
    b'{"text": "a"} {"text": "b"}': rejected("not valid JSON"),
    b"[1, 2]": rejected("not a JSON object"),
    b'"only a string"': rejected("not a JSON object"),
    b"null": rejected("not a JSON object"),
    b"NaN": rejected("NaN is not JSON"),
    b'{"text": "a", "id": NaN}': rejected("NaN is not JSON"),
    b'{"text": "a", "score": -Infinity}': rejected("-Infinity is not JSON"),
    b'{"text": "a", "id": 1e999}': rejected("is a float"),
    b'{"text": "a", "id": 12345678901234567.0}': rejected("is a float"),
    b'{"text": "a", "id": true}': rejected("id is a boolean"),
    b'{"text": "a", "id": {}}': rejected("id is an object"),
    b'{"text": "a", "id": ' + b"9" * 5_000 + b"}": rejected("not valid JSON"),
    b'{"text": ' + b"9" * 5_000 + b"}": rejected("not valid JSON"),
    b'{"text": ["a"]}': rejected("text is a list"),
    b'{"tokens": "a b"}': rejected("tokens is a string"),
    b'{"tokens": ["a", 1]}': rejected("tokens holds a number"),
    b'{"tokens": [["a"]]}': rejected("tokens holds a list"),
    b'{"tokens": ["a"], "tags": [0]}': rejected("tags holds a number"),
    b'{"tokens": ["a"], "tags": {"0": "O"}}': rejected("tags is an object"),
    b'{"text": "a", "image": 7}': rejected("image is a number"),
    b'{"text": "a", "image": ["a.jpg"]}': rejected("image is a list"),
    b'{"text": "a", "split": "../../train"}': rejected("split '../../train'"),
    b'{"text": "a", "split": "a/b"}': rejected("split 'a/b'"),
    b'{"text": "a", "split": ["train"]}': rejected("split is a list"),
    b'{"text": "\\ud800"}': rejected("not valid Unicode"),
    b'{"text": "a", "id": "\\udfff\\ud800"}': rejected("id is not valid Unicode"),
    b'{"text": "a", "image": "\\ud800.jpg"}': rejected("image is not valid Unicode"),
    b'{"tokens": ["\\ud800"]}': rejected("not valid Unicode"),
    b'{"text": "\xff\xfe"}': rejected("not valid UTF-8"),
    b'{"text": "\xed\xa0\x80"}': rejected("not valid UTF-8"),
    b'{"text": "\xc0\xaf"}': rejected("not valid UTF-8"),
    b"\0\0\0": rejected("not valid JSON"),
    b"[" * 100_000: rejected("not valid JSON"),
    b'{"a":' * 50_000: rejected("not valid JSON"),
    b'{"text": "' + b"x" * 1_100_000 + b'"}': rejected("a line of more than"),
    b'{"words": null}': rejected("no text"),
    b"{}": rejected("no text"),
    b'{"id": "keys-twice", "text": "first", "text": "last"}': Expected(),
    b'{"id": 123456789012345678901234567890, "text": "a large whole number"}': Expected(),
    b'{"id": "deep", "text": "a", "more": ' + b"[" * 200 + b"]" * 200 + b"}": Expected(),
    b'{"id": "escapes", "text": "\\u0000\\u001b\\ud83d\\ude00"}': Expected(),
    b'{"__proto__": {"a": 1}, "__class__": "os.system", "id": "proto", "text": "a"}': Expected(),
    json.dumps({"id": "bytes", "text": "a", "image": {"bytes": None, "path": "../secret.jpg"}}).encode(): Expected(
        image="bad_image(outside_root)"
    ),
}
"""Lines, each with a different post, and their expected results."""

CONLL: dict[bytes, Expected] = {
    b"IMGID:c1\nAda\tI-PER\nleft\tO": Expected(),
    b"IMGID:c2\nAda\tPERSON": rejected("tag 'PERSON'"),
    b"IMGID:c3\nAda\tB-PER\nleft": rejected("1 columns, but the first line of the post has 2"),
    b"IMGID:c4\nAda\tB-PER\tO\tO\tO\tO": rejected("6 columns"),
    b"IMGID:c5\nAda\tO\n\xff\xfe\tO": rejected("not valid UTF-8"),
    b"IMGID:c6\nAda\tO\r\nleft\tO\r": Expected(),
    b"IMGID:c7\nAda\tB-PER \nleft\tO": rejected("tag 'B-PER '"),
    b"IMGID:c8\nAda  B-PER": rejected("tag ''"),
    b"IMGID:c9\n" + b"x" * 1_048_600 + b"\tO": rejected("a line of more than"),
    b"IMGID:c10": rejected("no text"),
    b"IMGID:c11\n\t\t\t": rejected("no text"),
    b"IMGID:../../etc/passwd\nclimbs\tO": Expected(),
    b"IMGID:/etc/passwd\nabsolute\tO": Expected(),
    b"IMGID:a\0b\nnul\tO": Expected(),
    b"IMGID:\x1b[2J\ncontrol\tO": Expected(image="ok"),
    b"IMGID:" + b"y" * 10_000 + b"\nlong\tO": Expected(),
    b"IMGID:<img src=x onerror=alert(1)>\n<script>\tB-<b>": Expected(),
    b"IMGID:c12\n\xe2\x80\x8b\tO\n\xef\xb8\x8f\tO": Expected(synthesis="no_prompt"),
    b"IMGID:c13\n" + b"word\tO\n" * 9_999 + b"word\tO": Expected(),
    b"IMGID:c14\n" + b"w\tO\n" * 100_001 + b"w\tO": rejected("more than 100000 tokens"),
    b"no id\tO\nno image\tO": Expected(),
    b"IMGID:c15\nAda\tO\nIMGID:c16\tO": Expected(),
    # Of two posts with one id, the one with the smaller content hash is kept, regardless of the order.
    b"IMGID:c22\nfirst\tO": rejected("duplicate id"),
    b"IMGID:c22\nsecond\tO": Expected(),
    b"IMGID:c17\nfolder\tO": Expected(image="bad_image(not_a_file)"),
    b"IMGID:c18\npipe\tO": Expected(image="bad_image(not_a_file)"),
    b"IMGID:c19\nlink\tO": Expected(image="bad_image(outside_root)"),
    b"IMGID:c20\nempty\tO": Expected(image="bad_image(empty)"),
    b"IMGID:c21\nhtml\tO": Expected(image="bad_image(not_an_image)"),
}
"""Blocks of lines and their expected results; `corpora.conll` writes the images of the last ones."""
