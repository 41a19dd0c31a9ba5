"""Ids as file names: any id of a corpus gets a name that every disk, tar and public reader takes, and no two the same.

Public code makes `<id>.jpg` of an id, and `webdataset` takes a name up to its first dot for the post. An id that is
letters, digits, `_` and `-` stays as it is, as those of Twitter-2015 and Twitter-2017 do; any other is renamed.
"""

import re
from collections.abc import Set
from hashlib import blake2b

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["MAX_NAME_BYTES", "find_collisions", "to_filename"]

MAX_NAME_BYTES = 80
"""Characters. With an ending it fits the 100 bytes that every tar reader knows, and every file system."""

_PLAIN = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_-]{{0,{MAX_NAME_BYTES - 1}}}\Z")
_RENAMED = re.compile(r".*--[0-9a-f]{32}\Z", re.IGNORECASE)
"""What a renamed id looks like. An id that looks so by itself is renamed too, so that it meets no other."""
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
"""No file of these names, whatever its ending, can be written on Windows."""


def to_filename(post_id: str, taken: Set[str] = frozenset()) -> str:
    """The id's name as a file, without ending: at most `MAX_NAME_BYTES` of `A-Za-z0-9_-`, never beginning with `-`.

    The id itself where that is such a name and not one of `taken` (lower case); else what is legible of it, `--` and
    a hash of it. Different ids give different names, also on a disk that takes `a` and `A` for one where `taken` holds
    `find_collisions` of all ids.
    """
    name = post_id.lower()
    if _PLAIN.match(post_id) and not _RENAMED.match(post_id) and name not in _DEVICES and name not in taken:
        return post_id
    legible = re.sub(r"[^A-Za-z0-9]+", "_", post_id)[:40].strip("_") or "post"
    return f"{legible}--{blake2b(post_id.encode(), digest_size=16).hexdigest()}"


def find_collisions(ids: pa.ChunkedArray) -> frozenset[str]:
    """Of different ids (strings) those that differ only in the case of ASCII letters, in lower case."""
    lower = pa.table({"id": pc.ascii_lower(ids)}).group_by("id").aggregate([("id", "count")])
    return frozenset(lower.filter(pc.field("id_count") > 1)["id"].to_pylist())
