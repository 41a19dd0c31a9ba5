"""Copies of local folders in a bucket, as a corpus is uploaded."""

from pathlib import Path

import obstore

from amia.utils.object_store import open_remote

__all__ = ["MAX_UPLOAD_BYTES", "upload"]

MAX_UPLOAD_BYTES = 10**8


def upload(folder: Path, address: str) -> str:
    """Upload the files of a folder. Returns the address.

    Left out is what an upload cannot contain: links, pipes, names with control characters or invalid UTF-8, and sparse
    files of a terabyte.
    """
    store = open_remote(address)
    for path in sorted(folder.rglob("*")):
        key = path.relative_to(folder).as_posix()
        is_file = path.is_file() and not path.is_symlink() and path.stat().st_size < MAX_UPLOAD_BYTES
        if is_file and key.isprintable():
            obstore.put(store, key, path.read_bytes())
    return address
