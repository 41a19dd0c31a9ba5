"""Parquet files, among them data sets in the hub's layout (`data/train-00000-of-00002.parquet`)."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from amia.errors import CorpusError
from amia.posts import RawPost, Rejected
from amia.readers.arrow_safety import refuse_parquet_extensions
from amia.readers.tables import ROWS, TableReader

__all__ = ["read_parquet"]


def read_parquet(file: Path, name: str, split: str | None) -> Iterator[RawPost | Rejected]:
    """The posts of one file, in order; `where` is `name#row`. Column names as in `amia.readers.records.NAMES`.

    Raises CorpusError for a damaged file, for extension types, and where `TableReader` does.
    """
    refuse_parquet_extensions(file)
    try:
        # Without a buffer size, a whole column of a row group would be in memory: all its images.
        with pq.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False, arrow_extensions_enabled=False) as table:
            reader = TableReader(table.schema_arrow, name, split)
            for batch in table.iter_batches(batch_size=ROWS, columns=reader.columns, use_threads=False):
                yield from reader.posts(batch)
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: names of columns that are not UTF-8
        raise CorpusError(f"{file}: {error}") from error
