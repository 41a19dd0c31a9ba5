"""Parquet files, including data sets in the hub's layout (`data/train-00000-of-00002.parquet`)."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from amia.errors import CorpusError
from amia.posts import RawPost, Rejected
from amia.readers.arrow_table import MAX_BATCH_ROWS, TableReader
from amia.readers.safety.arrow_streams import check_parquet_footer
from amia.readers.safety.parquet_pages import read_pages
from amia.readers.source import SourceFile

__all__ = ["read_parquet"]

MAX_BATCH_BYTES = 128_000_000
"""Bytes of a batch, if each of its rows holds a value as large as the largest page."""
BUFFER_BYTES = 4 << 20
"""Bytes of a column that one read fetches."""


def read_parquet(
    file: SourceFile, split: str | None, groups: range | None = None, first_row: int = 0
) -> Iterator[RawPost | Rejected]:
    """Yield the posts of one file, in order; `location` is `name#row`. Columns are those of `row_mapping.NAMES`.

    `groups` selects row groups, the first of which begins with row `first_row` of the file. Default: all.

    Raises CorpusError for a damaged file, for extension types, and for the reasons of `read_pages` and `TableReader`.
    """
    check_parquet_footer(file)
    try:
        with file.open_ranges() as stream, pq.ParquetFile(stream) as table:
            reader = TableReader(table.schema_arrow, file.label, split, first_row)
            # A group without rows, as in a file without any, has no pages that could be checked.
            chosen = range(table.num_row_groups) if groups is None else groups
            filled = [group for group in chosen if table.metadata.row_group(group).num_rows]
            pages = read_pages(file, table.metadata, reader.columns, filled)
        rows = max(1, min(MAX_BATCH_ROWS, MAX_BATCH_BYTES // max(1, pages.max_bytes)))
        # Without a buffer size, a whole column of a row group would be in memory, with all its images.
        options = {"buffer_size": BUFFER_BYTES, "pre_buffer": False, "arrow_extensions_enabled": False}
        with (
            file.open_ranges() as stream,
            pq.ParquetFile(stream, read_dictionary=pages.dictionary_lists, **options) as table,
        ):
            # Each row group separately, since Arrow cannot concatenate lists with different dictionaries.
            selection = {"batch_size": rows, "columns": reader.columns, "use_threads": False}
            for group in filled:
                for batch in table.iter_batches(row_groups=[group], **selection):
                    yield from reader.posts(batch)
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: column names that are not UTF-8
        raise CorpusError(f"{file}: {error}") from error
