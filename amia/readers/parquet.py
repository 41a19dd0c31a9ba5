"""Parquet files, among them data sets in the hub's layout (`data/train-00000-of-00002.parquet`)."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from amia.errors import CorpusError
from amia.posts import RawPost, Rejected
from amia.readers.arrow_table import ROWS, TableReader
from amia.readers.safety.arrow_streams import refuse_parquet_extensions
from amia.readers.safety.parquet_pages import read_pages

__all__ = ["read_parquet"]

BATCH_BYTES = 128_000_000
"""That rows unpack to at once, at most, where each of them holds the largest page's value."""


def read_parquet(file: Path, name: str, split: str | None) -> Iterator[RawPost | Rejected]:
    """The posts of one file, in order; `where` is `name#row`. Column names as in `amia.readers.row_mapping.NAMES`.

    Raises CorpusError for a damaged file, for extension types, and where `read_pages` and `TableReader` do.
    """
    refuse_parquet_extensions(file)
    try:
        with pq.ParquetFile(file) as table:
            reader = TableReader(table.schema_arrow, name, split)
            pages = read_pages(file, table.metadata, reader.columns)
        rows = max(1, min(ROWS, BATCH_BYTES // max(1, pages.largest)))
        # Without a buffer size, a whole column of a row group would be in memory: all its images.
        options = {"buffer_size": 1 << 20, "pre_buffer": False, "arrow_extensions_enabled": False}
        with pq.ParquetFile(file, read_dictionary=pages.repeated, **options) as table:
            # Group by group, each with its dictionary: Arrow cannot put lists of two dictionaries together.
            wanted = {"batch_size": rows, "columns": reader.columns, "use_threads": False}
            for group in range(table.num_row_groups):
                for batch in table.iter_batches(row_groups=[group], **wanted):
                    yield from reader.posts(batch)
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: names of columns that are not UTF-8
        raise CorpusError(f"{file}: {error}") from error
