"""Images by post id, for corpora whose image files are named by it (`<id>.jpg`)."""

from amia.images import ImageRoot
from amia.readers.source import open_folder

__all__ = ["IMAGE_SUFFIXES", "ImageFolder"]

IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "gif", "webp", "bmp", "tif", "tiff")
"""File name suffixes of images, in any case. If one id has several files, the first of these suffixes wins."""

_RANK = {suffix: rank for rank, suffix in enumerate(IMAGE_SUFFIXES)}


class ImageFolder:
    """Images of one folder by id. The folder is listed once, and no file is opened.

    Keeps one short string per image (about 150 bytes): a million images take 150 MB.
    """

    def __init__(self, root: ImageRoot | None) -> None:
        self._names: dict[str, str] = {}
        for name, _ in () if root is None else open_folder(root).entries():
            self._add(name)

    def __len__(self) -> int:
        return len(self._names)

    def find(self, post_id: str | None) -> str | None:
        """Return the file name of the id's image, relative to the folder, or None.

        Only names from the listing are returned, so an id like `../secret` has no image.
        """
        return None if post_id is None else self._names.get(post_id)

    def _add(self, name: str) -> None:
        stem, _, suffix = name.rpartition(".")
        if not stem or suffix.lower() not in _RANK:
            return
        previous = self._names.get(stem)
        if previous is None or _preference(name) < _preference(previous):
            self._names[stem] = name


def _preference(name: str) -> tuple[int, str]:
    return _RANK[name.rpartition(".")[2].lower()], name
