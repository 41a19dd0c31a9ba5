"""Which split a file belongs to, by its name."""

import re
from pathlib import PurePosixPath

from amia.posts import SPLITS

__all__ = ["split_of"]

_HUB_FILE = re.compile(r"(\w+)-\d+-of-\d+\Z")


def split_of(name: str) -> str | None:
    """The split that a path relative to the source names, canonically spelled; None when it names none.

    A split's name may be the whole stem or a part of it between other signs (`train`, `test-00001`, `tweets_dev`), else
    a folder's name (`train/00000.tar`). In the hub's layout `data/<split>-00000-of-00002.parquet` it may be any word.
    A name with two different splits in it names none.
    """
    path = PurePosixPath(name)
    if path.parent.name == "data" and (hub := _HUB_FILE.match(path.stem)):
        return SPLITS.get(hub[1].lower(), hub[1])
    for part in (path.name.split(".")[0], *(folder.name for folder in path.parents)):
        words = re.split(r"[^A-Za-z0-9]+", part.lower())
        found = {SPLITS[word] for word in words if word in SPLITS}
        if found:
            return found.pop() if len(found) == 1 else None
    return None
