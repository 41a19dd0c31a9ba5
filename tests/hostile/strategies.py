"""Hypothesis strategies for the formats of a corpus: JSON lines, CoNLL blocks, and tables."""

import json
from typing import Any, TypeVar

import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from amia.readers.row_mapping import NAMES
from tests.hostile.rows import PATHS
from tests.hostile.texts import IDS, INVISIBLE, TEXTS

T = TypeVar("T")
Column = tuple[pa.DataType, list[Any]]

__all__ = ["blocks", "json_lines", "sample", "tables"]


def sample(strategy: st.SearchStrategy[T], count: int, start: int) -> list[T]:
    """Return `count` examples, which depend on `start` only."""
    examples: list[T] = []
    while len(examples) < count:

        @seed(start + len(examples))
        @settings(
            max_examples=count,
            database=None,
            phases=[Phase.generate],
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def collect(example: T) -> None:
            examples.append(example)

        collect()
    return examples[:count]


KNOWN = sorted({name for names in NAMES.values() for name in names})
"""Names of columns that readers know."""
SHORT = [text for text in [*TEXTS.values(), *INVISIBLE.values(), *IDS.values(), *PATHS] if len(text) < 1_000]
ANY_TEXT = st.text(st.characters()) | st.sampled_from(SHORT)
"""Includes lone surrogates, which JSON can escape."""
TAGS = st.sampled_from(["O", "B-PER", "I-PER", "I-OTHER", "B-", "S-LOC", "o", "", "B-\u2028", "B-a b"])

_scalars = st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT
ANYTHING = st.recursive(_scalars, lambda values: st.lists(values) | st.dictionaries(ANY_TEXT, values), max_leaves=20)
_typical: dict[str, st.SearchStrategy[Any]] = {
    "id": st.integers() | ANY_TEXT,
    "split": st.sampled_from(["train", "val", "TEST", "", "a/b", "con"]) | ANY_TEXT,
    "text": ANY_TEXT,
    "tokens": st.lists(ANY_TEXT, max_size=8),
    "tags": st.lists(TAGS, max_size=8),
    "image": st.sampled_from(list(PATHS)) | ANY_TEXT,
}
_fields = {name: _typical[field] | ANYTHING for field, names in NAMES.items() for name in names}
_records = st.fixed_dictionaries({}, optional={**_fields, "more": ANYTHING})
_images = dict.fromkeys(NAMES["image"], _typical["image"])
_posts = st.fixed_dictionaries(
    {"text": st.text(min_size=1) | _typical["text"]}, optional={"id": _typical["id"], **_images}
)
_tagged = st.lists(st.tuples(st.text(min_size=1), TAGS), max_size=8).map(
    lambda pairs: {"tokens": [token for token, _ in pairs], "tags": [tag for _, tag in pairs]}
)


def _line(value: object, *, escaped: bool) -> bytes:
    return json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass")


_values = st.sampled_from([_posts] * 4 + [_tagged] * 2 + [_records, ANYTHING]).flatmap(lambda strategy: strategy)
_json = st.builds(_line, _values, escaped=st.booleans())
_lines = st.sampled_from([_json] * 7 + [st.binary(max_size=60)]).flatmap(lambda strategy: strategy)
json_lines: st.SearchStrategy[bytes] = st.lists(_lines, min_size=1, max_size=12).map(b"\n".join)
"""Content of a JSON lines file."""

_cells = st.text(st.characters(), max_size=8) | st.sampled_from(["IMGID:", "-DOCSTART-", "O", "\u200b", "B-PER"])
_rows = st.tuples(_cells, TAGS).map("\t".join) | st.lists(_cells, max_size=5).map("\t".join) | _cells
_ids = (st.sampled_from(list(IDS.values())) | _cells).map("IMGID:{}".format)
_encoded = (_rows | _ids | st.just("")).map(lambda line: line.encode("utf-8", "surrogatepass"))
_line_bytes = st.sampled_from([_encoded] * 9 + [st.binary(max_size=9)]).flatmap(lambda strategy: strategy)
_ends = st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\r"])
blocks: st.SearchStrategy[bytes] = st.lists(st.tuples(_line_bytes, _ends), max_size=40).map(
    lambda lines: b"".join(part for line in lines for part in line)
)
"""Content of a CoNLL file."""

_plain: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.string(), st.text() | st.sampled_from(SHORT)),
    (pa.large_string(), st.text()),
    (pa.binary(), st.binary()),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint8(), st.integers(0, 255)),
    (pa.float64(), st.floats()),
    (pa.bool_(), st.booleans()),
    (pa.timestamp("us"), st.integers(-(2**63), 2**63 - 1)),
    (pa.date32(), st.integers(-(2**31), 2**31 - 1)),
    (pa.dictionary(pa.int32(), pa.string()), st.text(max_size=3)),
]
_image_structs = st.fixed_dictionaries(
    {"bytes": st.none() | st.binary(), "path": st.none() | st.sampled_from([p for p in PATHS if len(p) < 1_000])}
)
_types = [
    *_plain,
    *((pa.list_(kind), st.lists(values, max_size=8)) for kind, values in _plain),
    (pa.list_(pa.string()), st.lists(TAGS, max_size=8)),
    (pa.list_(pa.list_(pa.string())), st.lists(st.lists(st.text()))),
    (pa.map_(pa.string(), pa.int8()), st.lists(st.tuples(st.text(), st.integers(0, 9)))),
    (pa.struct({"bytes": pa.binary(), "path": pa.string()}), _image_structs),
    (pa.struct({"bytes": pa.string(), "more": pa.bool_()}), st.fixed_dictionaries({"bytes": st.text()})),
    (pa.null(), st.none()),
]
_features = st.sampled_from(
    [
        *(None, b"{", b"[]", b"[" * 5_000, b'{"info": {"features": []}}'),
        *(
            json.dumps({"info": {"features": {"tags": tags, "ner_tags": tags}}}).encode()
            for tags in (
                [{"_type": "ClassLabel", "names": ["O", "B-PER"]}],
                {"feature": {"_type": "ClassLabel", "names": [1, None, {"a": "\x1b"}]}},
                {"feature": {"feature": [[[]]]}},
                {"_type": "ClassLabel", "names": "O"},
            )
        ),
    ]
)


@st.composite
def _columns(draw: st.DrawFn) -> tuple[int, list[tuple[str, Column]], bytes | None]:
    rows = draw(st.integers(0, 6))
    names = draw(st.lists(st.sampled_from(KNOWN) | st.text(max_size=5), max_size=5))
    columns: list[tuple[str, Column]] = []
    for name in ["text", *names]:
        kind, values = draw(st.sampled_from(_types[:1] * 8 + _types if name == "text" else _types))
        columns.append((name, (kind, draw(st.lists(st.none() | values, min_size=rows, max_size=rows)))))
    return rows, columns, draw(_features)


def _table(example: tuple[int, list[tuple[str, Column]], bytes | None]) -> pa.Table:
    _, columns, features = example
    arrays = [pa.array(values, kind) for _, (kind, values) in columns]
    table = pa.Table.from_arrays(arrays, names=[name for name, _ in columns])
    return table if features is None else table.replace_schema_metadata({b"huggingface": features})


tables: st.SearchStrategy[pa.Table] = _columns().map(_table)
"""A table of known and unknown columns, mostly with unexpected types."""
