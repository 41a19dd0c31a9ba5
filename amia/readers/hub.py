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
    """Yield the posts of every split, in order; `location` is `hf:owner/name/split#row`. Nothing is stored on disk.

    The files of the data set must contain the images (an `Image` column of Parquet). An image that is only a link is
    read as a path and will be missing. Raises CorpusError if the optional library `datasets` is not installed, if the
    data set cannot be loaded, and if no column holds the text.
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
    except Exception as error:  # network, hub, scripts and files fail in many ways
        raise CorpusError(f"{source}: {error}") from error
    for split, rows in splits.items():
        yield from _posts(rows, f"{PREFIX}{name}/{split}", str(split), datasets)


def _posts(rows: Any, name: str, split: str, datasets: Any) -> Iterator[RawPost | Rejected]:
    features = rows.features
    for column, feature in (features or {}).items():
        if isinstance(feature, datasets.Image):
            # Keep the encoded bytes instead of decoding the image.
            rows = rows.cast_column(column, datasets.Image(decode=False))
    labels = label_names(features.to_dict() if features is not None else None)
    for number, row in enumerate(rows):
        if number == 0:
            known_names(row)
        yield read_record(row, f"{name}#{number}", split, labels)
