"""Reading image files: of a corpus only from inside its image folder, or a file that the user names."""

import functools
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amia.errors import ImageError
from amia.images.settings import ImageSettings

__all__ = ["fetch_image", "read_image"]


def fetch_image(root: Path | None, image_path: str, limits: ImageSettings) -> bytes:
    """Return the bytes of `image_path`, which is relative to `root`.

    Paths come from an untrusted corpus. Absolute paths, `..`, and symbolic links that lead out of the folder are
    refused, so that no other file of this machine ends up in a data set.

    Raises ImageError: `outside_root`, `missing` (no such file, or `root` is None), `not_a_file`, `too_large` (more
    than `limits.max_bytes`), `unreadable` (permissions, a failing disk).
    """
    if Path(image_path).is_absolute() or ".." in image_path.replace("\\", "/").split("/"):
        raise ImageError("outside_root", image_path)
    if root is None:
        raise ImageError("missing", f"{image_path}: the corpus has no image folder")
    with _translate_os_errors(image_path):
        folder = _resolve_root(root.absolute())
        file = (folder / image_path).resolve()
        if not file.is_relative_to(folder):
            raise ImageError("outside_root", f"{image_path} is a link out of the image folder")
        return _read(file, image_path, limits)


def read_image(path: str | Path, limits: ImageSettings) -> bytes:
    """Return the bytes of a file anywhere on this machine, which the user has named.

    Raises ImageError as `fetch_image` does, except `outside_root`.
    """
    with _translate_os_errors(str(path)):
        return _read(Path(path), str(path), limits)


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
