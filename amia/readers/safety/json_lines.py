"""Lines of untrusted text files with a bounded length, and JSON objects of untrusted origin."""

import codecs
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from amia.errors import CorpusError
from amia.readers.safety.decompress import open_text
from amia.readers.source import SourceFile

__all__ = ["MAX_LINE_BYTES", "Span", "parse_object", "read_lines"]

MAX_LINE_BYTES = 1 << 20
"""Length of a line. A longer one holds no post, and would be held in memory as a whole."""


@dataclass(slots=True)
class Span:
    """Part of a text file: the lines that begin at bytes `[start, stop)`."""

    start: int = 0
    stop: int | None = None
    lines: int = 0
    """Lines that were read so far."""


def read_lines(file: SourceFile, span: Span | None = None) -> Iterator[tuple[int, bytes | None]]:
    r"""Yield (number from 1, line without its end); None in place of a line of more than `MAX_LINE_BYTES` bytes.

    Only `\n` and `\r\n` end a line, since tweets contain U+2028, U+0085 and similar characters inside tokens. A UTF-8
    byte order mark is removed. `span` selects lines of a file without compression: consecutive spans have each line
    once. Raises CorpusError for a file in UTF-16 or UTF-32.
    """
    start, stop = (span.start, span.stop) if span else (0, None)
    with open_text(file) as stream:
        if start:
            stream.seek(start - 1)
            _skip_line(stream)
        for number in itertools.count(1):
            if stop is not None and stream.tell() >= stop:
                return
            line = stream.readline(MAX_LINE_BYTES)
            if not line:
                return
            if span:
                span.lines = number
            if number == 1 and not start:
                if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    raise CorpusError(f"{file}: encoded as UTF-16 or UTF-32; save it as UTF-8")
                line = line.removeprefix(codecs.BOM_UTF8)
            if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                _skip_line(stream)
                yield number, None
                continue
            yield number, line.removesuffix(b"\n").removesuffix(b"\r")


def _skip_line(stream: BinaryIO) -> None:
    while (more := stream.readline(MAX_LINE_BYTES)) and not more.endswith(b"\n"):
        pass


def parse_object(data: bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises CorpusError with the reason, also for NaN, Infinity and too deep nesting."""
    try:
        value = _DECODER.decode(data.decode())
    except UnicodeDecodeError as error:
        raise CorpusError("not valid UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise CorpusError("not a JSON object")
    return value


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
"""One decoder, since `json.loads` makes one for each line."""
