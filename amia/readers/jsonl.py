"""JSON lines: one object per line, as tweet collections are exported; also compressed with gzip or Zstandard."""

from collections.abc import Iterator

from amia.errors import CorpusError
from amia.posts import RawPost, Rejected
from amia.readers.row_mapping import read_record
from amia.readers.safety.json_lines import MAX_LINE_BYTES, Span, parse_object, read_lines
from amia.readers.source import SourceFile

__all__ = ["read_jsonl"]


def read_jsonl(file: SourceFile, split: str | None, span: Span | None = None) -> Iterator[RawPost | Rejected]:
    """Yield the posts of one file, in order; empty lines are skipped. `location` is `name:line`.

    Fields are those of `amia.readers.row_mapping.NAMES`; `image` is a path. `split` is used for lines without one.
    `span` selects lines, which are numbered from 1.
    """
    for number, line in read_lines(file, span):
        location = f"{file.label}:{number}"
        if line is None:
            yield Rejected(location=location, id=None, reason=f"a line of more than {MAX_LINE_BYTES} bytes")
        elif line.strip():
            try:
                yield read_record(parse_object(line), location, split)
            except CorpusError as error:
                yield Rejected(location=location, id=None, reason=str(error))
