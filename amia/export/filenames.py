"""Map post ids to unique file names that are valid on every file system, in tar files and for public readers.

Public code reads the image `<id>.jpg` of an id, and `webdataset` takes a name up to its first dot as the post. An id of
letters, digits, `_` and `-`, as in Twitter-2015 and Twitter-2017, is its own file name; any other id is renamed.
"""

import re
from collections.abc import Set
from hashlib import blake2b

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["MAX_NAME_BYTES", "find_collisions", "to_filename"]

MAX_NAME_BYTES = 80
"""With an extension a name of this length fits the 100 bytes that every tar reader supports, and every file system."""

_PLAIN = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_-]{{0,{MAX_NAME_BYTES - 1}}}\Z")
_RENAMED = re.compile(r".*--[0-9a-f]{32}\Z", re.IGNORECASE)
"""Pattern of renamed ids. An id that already matches it is renamed too, so that it cannot collide with another."""
_RESERVED_ON_WINDOWS = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{number}" for port in ("com", "lpt") for number in range(10)),
}
"""Device names. Windows cannot create files with these names, whatever their extension."""


def to_filename(post_id: str, taken: Set[str] = frozenset()) -> str:
    """Return the file name of an id without extension: at most `MAX_NAME_BYTES` of `A-Za-z0-9_-`, not `-` first.

    The id itself if it is such a name and, in lower case, not in `taken`. Otherwise the readable part of the id, `--`
    and a hash of the id. Different ids give different names, on a case-insensitive file system too if `taken` holds
    `find_collisions` of all ids.
    """
    name = post_id.lower()
    if _PLAIN.match(post_id) and not _RENAMED.match(post_id) and name not in _RESERVED_ON_WINDOWS and name not in taken:
        return post_id
    readable = re.sub(r"[^A-Za-z0-9]+", "_", post_id)[:40].strip("_") or "post"
    return f"{readable}--{blake2b(post_id.encode(), digest_size=16).hexdigest()}"


def find_collisions(ids: pa.ChunkedArray) -> frozenset[str]:
    """Return, in lower case, those of distinct ids (strings) that differ only in the case of ASCII letters."""
    lower = pa.table({"id": pc.ascii_lower(ids)}).group_by("id").aggregate([("id", "count")])
    return frozenset(lower.filter(pc.field("id_count") > 1)["id"].to_pylist())
