"""An image file's bytes, from inside the image folder and from nowhere else."""

import stat
from pathlib import Path

from amia.errors import ImageError
from amia.images.settings import ImageSettings

__all__ = ["fetch_image"]


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
    try:
        folder = root.resolve()
        file = (folder / image_path).resolve()
        if not file.is_relative_to(folder):
            raise ImageError("outside_root", f"{image_path} is a link out of the image folder")
        status = file.stat()
        # Asked before opening: opening a named pipe would wait for ever.
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("not_a_file", image_path)
        if status.st_size > limits.max_bytes:
            raise ImageError("too_large", f"{image_path}: {status.st_size} bytes, allowed are {limits.max_bytes}")
        with file.open("rb") as stream:
            return stream.read(limits.max_bytes)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError("missing", image_path) from error
    except (ValueError, RuntimeError) as error:  # NUL or a lone surrogate in the path; links that go in a circle
        raise ImageError("missing", f"{image_path!r}: {error}") from error
    except OSError as error:
        raise ImageError("unreadable", f"{image_path}: {error.strerror}") from error
