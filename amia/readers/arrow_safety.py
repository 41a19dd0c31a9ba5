"""Arrow extension types, refused before Arrow sees the file.

An extension type runs code of whichever library registered it, while the schema is being read: that is how a Parquet
file could execute commands through PyArrow (CVE-2023-47248) and Ray (CVE-2026-41486). Opening a file and looking at its
schema then is too late, so its raw bytes are looked at here. No post needs such a type.
"""

import base64
import binascii
import struct
from pathlib import Path

from amia.errors import CorpusError

__all__ = ["refuse_parquet_extensions", "refuse_stream_extensions"]

_SCHEMA_KEY = b"ARROW:schema"
_EXTENSION_KEY = b"ARROW:extension:name"
_CONTINUED = b"\xff\xff\xff\xff"


def refuse_parquet_extensions(file: Path) -> None:
    """Raises CorpusError when a Parquet file has a column of an extension type, or is no whole Parquet file."""
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - 8))
        tail = stream.read(8)
        length = struct.unpack("<I", tail[:4])[0] if len(tail) == 8 else 0
        if tail[4:] != b"PAR1" or length + 12 > size:
            raise CorpusError(f"{file}: not a Parquet file, or one that was cut off or encrypted")
        stream.seek(size - 8 - length)
        footer = stream.read(length)
    at = footer.find(_SCHEMA_KEY)
    while at >= 0:
        at += len(_SCHEMA_KEY)
        _refuse(_schema_after(footer, at, file), file)
        at = footer.find(_SCHEMA_KEY, at)


def refuse_stream_extensions(file: Path) -> None:
    """Raises CorpusError when an Arrow stream (`.arrow`, as `datasets` saves it) has a column of an extension type."""
    with file.open("rb") as stream:
        head = stream.read(8)
        if head[:4] != _CONTINUED or len(head) < 8:
            raise CorpusError(f"{file}: not an Arrow stream as `datasets` saves it")
        _refuse(stream.read(struct.unpack("<I", head[4:])[0]), file)


def _schema_after(footer: bytes, at: int, file: Path) -> bytes:
    """The Arrow schema that follows its key, which ends at `at`, in a footer in Thrift's compact protocol."""
    try:
        if footer[at] != 0x18:  # the next field, a string
            raise CorpusError(f"{file}: its Arrow schema is not written as any library writes it; refused")
        length, shift, byte = 0, 0, 0x80
        while byte & 0x80:
            at += 1
            byte = footer[at]
            length |= (byte & 0x7F) << shift
            shift += 7
        return base64.b64decode(footer[at + 1 : at + 1 + length], validate=True)
    except (IndexError, binascii.Error) as error:
        raise CorpusError(f"{file}: its Arrow schema cannot be read; refused") from error


def _refuse(schema: bytes, file: Path) -> None:
    if _EXTENSION_KEY in schema:
        raise CorpusError(
            f"{file}: a column has an Arrow extension type (a tensor, a pickled object), which could run code when it "
            "is read. Write the file again with plain columns."
        )
