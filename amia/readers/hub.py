"""Data sets on the Hugging Face hub, streamed: `hf:owner/name` or `hf:owner/name:config`."""

from collections.abc import Iterator
from typing import Any

from amia.errors import CorpusError
from amia.posts import RawPost, Rejected
from amia.readers.arrow_table import label_names
from amia.readers.row_mapping import known_names, read_record

__all__ = ["PREFIX", "read_hub"]

PREFIX = "hf:"


def read_hub(source: str) -> Iterator[RawPost | Rejected]:
    """The posts of every split, in order; `where` is `hf:owner/name/split#row`. Nothing is stored on disk.

    Images must lie in the data set's own files (an `Image` column of Parquet); an image that is only a link is read
    as a path, which no image folder has. Raises CorpusError when the optional library `datasets` is missing, when the
    data set cannot be had, and when no column holds the text.
    """
    try:
        import datasets
    except ImportError as error:
        raise CorpusError(
            f"{source}: needs the library `datasets`; install it with: pip install 'amia[hub]'"
        ) from error
    name, _, config = source.removeprefix(PREFIX).partition(":")
    try:
        splits = datasets.load_dataset(name, config or None, streaming=True)
    except Exception as error:  # of the network, of the hub, of a script or a file there
        raise CorpusError(f"{source}: {error}") from error
    for split, rows in splits.items():
        yield from _posts(rows, f"{PREFIX}{name}/{split}", str(split), datasets)


def _posts(rows: Any, name: str, split: str, datasets: Any) -> Iterator[RawPost | Rejected]:
    features = rows.features
    for column, feature in (features or {}).items():
        if isinstance(feature, datasets.Image):
            # The file's own bytes, not pixels that would have to be encoded again.
            rows = rows.cast_column(column, datasets.Image(decode=False))
    labels = label_names(features.to_dict() if features is not None else None)
    for number, row in enumerate(rows):
        if number == 0:
            known_names(row)
        yield read_record(row, f"{name}#{number}", split, labels)
