"""Conversion of Arrow tables, from Parquet or from Arrow streams, to posts."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from amia.errors import CorpusError
from amia.posts import RawPost, Rejected
from amia.readers.row_mapping import NAMES, known_names, read_record
from amia.readers.safety.arrow_rows import python_rows

__all__ = ["MAX_BATCH_ROWS", "TableReader", "label_names"]

MAX_BATCH_ROWS = 64
"""Rows that are converted to Python objects at once: with images of tweets about 20 MB."""


class TableReader:
    """Converts one table, batch by batch, with its columns and the names of its numbered tags.

    Raises CorpusError if no column holds the text, if two columns have the same name, or if tags are numbers without
    names.
    """

    def __init__(self, schema: pa.Schema, name: str, split: str | None, first_row: int = 0) -> None:
        try:
            self.columns = known_names(schema.names)
        except CorpusError as error:
            raise CorpusError(f"{name}: {error}") from error
        self._name = name
        self._split = split
        self._labels = label_names(_features(schema))
        self._row = first_row
        for column in set(NAMES["tags"]) & set(self.columns):
            kind = schema.field(column).type
            if pa.types.is_list(kind) and pa.types.is_integer(kind.value_type) and column not in self._labels:
                raise CorpusError(
                    f"{name}: column {column} holds numbers, and the file does not say which tags they stand for; "
                    "write the tags as strings, or save the file with `datasets` and a ClassLabel feature"
                )

    def posts(self, batch: pa.RecordBatch) -> Iterator[RawPost | Rejected]:
        """Yield the rows of the next batch; `location` is `name#row`, counted from 0 over the whole file."""
        for start in range(0, batch.num_rows, MAX_BATCH_ROWS):
            for record in _records(batch.slice(start, MAX_BATCH_ROWS).select(self.columns)):
                location = f"{self._name}#{self._row}"
                self._row += 1
                if record is None:
                    yield Rejected(location=location, id=None, reason="not valid UTF-8")
                else:
                    yield read_record(record, location, self._split, self._labels)


def label_names(features: object) -> dict[str, list[str]]:
    """Return column -> names of its numbers, for columns with a (list of) ClassLabel feature.

    `features` is the JSON that `datasets` writes into schemas and `dataset_info.json`; unknown content is ignored.
    """
    labels = {}
    for column, feature in (features if isinstance(features, dict) else {}).items():
        inner = feature
        while isinstance(inner, list | dict):  # [ClassLabel], {"feature": ClassLabel}, ClassLabel
            if isinstance(inner, dict) and inner.get("_type") == "ClassLabel":
                names = inner.get("names")
                if isinstance(names, list):
                    labels[column] = [str(name) for name in names]
                break
            inner = inner.get("feature") if isinstance(inner, dict) else next(iter(inner), None)
    return labels


def _records(batch: pa.RecordBatch) -> Sequence[dict[str, Any] | None]:
    """Return the rows; None for a row with invalid UTF-8, which Arrow detects only on conversion."""
    try:
        return python_rows(batch)
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            return [None]
        return [record for row in range(batch.num_rows) for record in _records(batch.slice(row, 1))]


def _features(schema: pa.Schema) -> Any:
    try:
        return json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
