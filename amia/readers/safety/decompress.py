"""Text files that may be compressed, as streams of their text."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import pyarrow as pa

from amia.errors import CorpusError
from amia.readers.source import SourceFile

__all__ = ["is_compressed", "open_text"]

_GZIP, _ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def is_compressed(file: SourceFile) -> bool:
    """Return whether a text file is compressed, by its first bytes."""
    with file.open_ranges() as stream:
        signature = stream.read(4)
    return signature.startswith(_GZIP) or signature == _ZSTANDARD


@contextmanager
def open_text(file: SourceFile) -> Iterator[BinaryIO]:
    """Open a text file: plain, gzip or Zstandard, by its first bytes.

    It is decompressed while it is read, so that its size does not matter. Raises CorpusError in the block if the
    compressed data is damaged or truncated.
    """
    with file.open() as stream:
        signature = stream.read(4)
        stream.seek(0)
        text = stream
        if signature.startswith(_GZIP):
            text = cast(BinaryIO, gzip.GzipFile(fileobj=stream))
        elif signature == _ZSTANDARD:
            text = cast(BinaryIO, io.BufferedReader(pa.CompressedInputStream(stream, "zstd"), 1 << 20))
        try:
            yield text
        except (EOFError, zlib.error, gzip.BadGzipFile, pa.ArrowException) as error:
            raise CorpusError(f"{file}: the compressed data is damaged or truncated ({error})") from error
        except OSError as error:
            if text is stream:
                raise
            raise CorpusError(f"{file}: the compressed data is damaged or truncated ({error})") from error
