"""An image file's bytes: of a corpus from inside its image folder alone, or from where the person says."""

import functools
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amia.errors import ImageError
from amia.images.settings import ImageSettings

__all__ = ["fetch_image", "read_image"]


def fetch_image(root: Path | None, image_path: str, limits: ImageSettings) -> bytes:
    """The bytes of `image_path`, which is relative to `root`.

    Paths come from a corpus that somebody else wrote: an absolute path, `..`, and a symbolic link that leads out of the
    folder are refused, so that no other file of this machine ends up in a data set.

    Raises ImageError: `outside_root`, `missing` (no such file, or `root` is None), `not_a_file`, `too_large` (more
    than `limits.max_bytes`), `unreadable` (permissions, a failing disk).
    """
    if Path(image_path).is_absolute() or ".." in image_path.replace("\\", "/").split("/"):
        raise ImageError("outside_root", image_path)
    if root is None:
        raise ImageError("missing", f"{image_path}: the corpus has no image folder")
    with _named(image_path):
        folder = _real(root.absolute())
        file = (folder / image_path).resolve()
        if not file.is_relative_to(folder):
            raise ImageError("outside_root", f"{image_path} is a link out of the image folder")
        return _read(file, image_path, limits)


def read_image(path: str | Path, limits: ImageSettings) -> bytes:
    """The bytes of a file that the person at this machine names, wherever it lies.

    Raises ImageError as `fetch_image` does, but for `outside_root`.
    """
    with _named(str(path)):
        return _read(Path(path), str(path), limits)


def _read(file: Path, name: str, limits: ImageSettings) -> bytes:
    status = file.stat()
    # Asked before opening: opening a named pipe would wait for ever.
    if not stat.S_ISREG(status.st_mode):
        raise ImageError("not_a_file", name)
    if status.st_size > limits.max_bytes:
        raise ImageError("too_large", f"{name}: {status.st_size} bytes, allowed are {limits.max_bytes}")
    with file.open("rb") as stream:
        # No more than it had: to make room for max_bytes takes longer than to read what is there.
        return stream.read(status.st_size)


@functools.lru_cache(maxsize=16)
def _real(root: Path) -> Path:
    """Looked up once: each part of a path is a question to the file system, for every image of a corpus."""
    return root.resolve()


@contextmanager
def _named(name: str) -> Iterator[None]:
    """What a file system says of a path, as ImageError."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError("missing", name) from error
    except (ValueError, RuntimeError) as error:  # NUL or a lone surrogate in the path; links that go in a circle
        raise ImageError("missing", f"{name!r}: {error}") from error
    except OSError as error:
        raise ImageError("unreadable", f"{name}: {error.strerror}") from error
