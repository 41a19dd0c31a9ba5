"""Reading images of a corpus, only from inside its image folder or prefix; or a file that the user names."""

import functools
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amia.errors import ImageError
from amia.images.settings import ImageSettings
from amia.utils.store_reader import StoreReader, is_url

__all__ = ["ImageRoot", "fetch_image", "image_address", "read_image"]

MAX_KEY_BYTES = 1024
"""Length of a key with its prefix. S3 answers a longer one with an error, as if the request were wrong."""

ImageRoot = Path | StoreReader
"""Folder on a local disk, or prefix of an object store, that image paths start from."""


def fetch_image(root: ImageRoot | None, image_path: str, limits: ImageSettings) -> bytes:
    """Return the bytes of `image_path`, which is relative to `root`, or a URL below the prefix `root`.

    Paths come from an untrusted corpus. Absolute paths, `..`, symbolic links that lead out of the folder, and URLs that
    lead out of the prefix are refused, so that no other file of this machine or of this account ends up in a data set.
    Nothing is fetched over HTTP.

    Raises ImageError: `outside_root`, `http` (a link), `missing` (no such file, or `root` is None), `not_a_file`,
    `too_large` (more than `limits.max_bytes`), `unreadable` (permissions, a failing disk); StoreError if an object
    store fails.
    """
    if image_path.lower().startswith(("http://", "https://")):
        raise ImageError("http", f"{image_path}: links are not fetched; img2dataset downloads them into tar files")
    if isinstance(root, StoreReader) and is_url(image_path):
        image_path = _key_below(root, image_path)
    if Path(image_path).is_absolute() or ".." in image_path.replace("\\", "/").split("/"):
        raise ImageError("outside_root", image_path)
    if root is None:
        raise ImageError("missing", f"{image_path}: the corpus has no image folder")
    if isinstance(root, StoreReader):
        return _fetch_object(root, image_path, limits)
    with _translate_os_errors(image_path):
        folder = _resolve_root(root.absolute())
        file = (folder / image_path).resolve()
        if not file.is_relative_to(folder):
            raise ImageError("outside_root", f"{image_path} is a link out of the image folder")
        return _read(file, image_path, limits)


def image_address(root: ImageRoot | None) -> str:
    """Return the path or the URL of a folder of images; empty for None."""
    return root.address if isinstance(root, StoreReader) else "" if root is None else str(root.resolve())


def read_image(path: str | Path, limits: ImageSettings) -> bytes:
    """Return the bytes of a file anywhere on this machine, which the user has named.

    Raises ImageError as `fetch_image` does, except `outside_root`.
    """
    with _translate_os_errors(str(path)):
        return _read(Path(path), str(path), limits)


def _key_below(root: StoreReader, url: str) -> str:
    """Return a URL as a key relative to a prefix. Raises ImageError if it names anything else."""
    prefix = root.address.rstrip("/") + "/"
    if not url.startswith(prefix):
        raise ImageError("outside_root", url)
    return url.removeprefix(prefix)


def _fetch_object(root: StoreReader, image_path: str, limits: ImageSettings) -> bytes:
    key = "/".join(part for part in image_path.split("/") if part not in {"", "."})
    if not key:
        raise ImageError("not_a_file", image_path)
    if len(root.address) + len(key.encode(errors="replace")) > MAX_KEY_BYTES:
        raise ImageError("missing", f"{image_path[:40]}...: longer than the keys of object stores")
    try:
        size, data = root.read_at_most(key, limits.max_bytes)
    except FileNotFoundError as error:
        raise ImageError("missing", f"{image_path!r}: no such object in {root.address}") from error
    if data is None:
        raise ImageError("too_large", f"{image_path}: {size} bytes, the limit is {limits.max_bytes}")
    return data


def _read(file: Path, name: str, limits: ImageSettings) -> bytes:
    status = file.stat()
    # Checked before opening, since opening a named pipe blocks.
    if not stat.S_ISREG(status.st_mode):
        raise ImageError("not_a_file", name)
    if status.st_size > limits.max_bytes:
        raise ImageError("too_large", f"{name}: {status.st_size} bytes, the limit is {limits.max_bytes}")
    with file.open("rb") as stream:
        # The size as argument avoids allocating a buffer of max_bytes, which takes longer than reading the file.
        return stream.read(status.st_size)


@functools.lru_cache(maxsize=16)
def _resolve_root(root: Path) -> Path:
    # Cached, since resolving asks the file system about each part of the path, for every image of a corpus.
    return root.resolve()


@contextmanager
def _translate_os_errors(name: str) -> Iterator[None]:
    """Convert errors of the file system to ImageError."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError("missing", name) from error
    except (ValueError, RuntimeError) as error:  # NUL or a lone surrogate in the path; circular links
        raise ImageError("missing", f"{name!r}: {error}") from error
    except OSError as error:
        raise ImageError("unreadable", f"{name}: {error.strerror}") from error
