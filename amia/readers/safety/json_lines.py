"""A text file's lines as bytes, one at a time, with the oddities of real files taken off."""

import codecs
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from amia.errors import CorpusError

__all__ = ["LONGEST_LINE", "parse_object", "read_lines"]

# MERGED FROM amia.readers.safety.json_lines: JSON from strangers, to a dict or to a reason.
LONGEST_LINE = 1 << 20
"""Bytes. A longer line is no line of posts, and would be held in memory whole."""


def read_lines(file: Path) -> Iterator[tuple[int, bytes | None]]:
    r"""(number from 1, the line without its end); None in place of a line of more than `LONGEST_LINE` bytes.

    Lines end at `\n` or `\r\n` and nowhere else: tweets hold U+2028, U+0085 and their like inside a token. A UTF-8 byte
    order mark is taken off. Raises CorpusError for a file in UTF-16 or UTF-32.
    """
    with file.open("rb") as stream:
        for number in itertools.count(1):
            line = stream.readline(LONGEST_LINE)
            if not line:
                return
            if number == 1:
                if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    raise CorpusError(f"{file}: this is UTF-16 or UTF-32; save it as UTF-8")
                line = line.removeprefix(codecs.BOM_UTF8)
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                while (more := stream.readline(LONGEST_LINE)) and not more.endswith(b"\n"):
                    pass
                yield number, None
                continue
            yield number, line.removesuffix(b"\n").removesuffix(b"\r")


def parse_object(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`. Raises CorpusError with the reason, for NaN and Infinity and endless nesting too."""
    try:
        value = json.loads(data.decode(), parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise CorpusError("not valid UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise CorpusError("not a JSON object")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
