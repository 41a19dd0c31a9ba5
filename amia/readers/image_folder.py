"""Which image belongs to an id, when images are files named by it (`<id>.jpg`)."""

import os
from pathlib import Path

from amia.errors import CorpusError

__all__ = ["IMAGE_SUFFIXES", "ImageFolder"]

IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "gif", "webp", "bmp", "tif", "tiff")
"""File name endings taken for images, in any case; where one id has several files the first of these wins."""

_RANK = {suffix: rank for rank, suffix in enumerate(IMAGE_SUFFIXES)}


class ImageFolder:
    """The images of one folder by id. The folder is listed once; no file is touched.

    Keeps one short string an image (about 150 bytes): a million images are 150 MB.
    """

    def __init__(self, root: Path | None) -> None:
        self._names: dict[str, str] = {}
        if root is None:
            return
        try:
            with os.scandir(root) as entries:
                for entry in entries:
                    self._add(entry.name)
        except OSError as error:
            raise CorpusError(f"image folder {root}: {error.strerror}") from error

    def __len__(self) -> int:
        return len(self._names)

    def find(self, post_id: str | None) -> str | None:
        """The file name of the id's image, relative to the folder, or None.

        Only names that the listing gave are ever returned, so an id like `../secret` finds nothing.
        """
        return None if post_id is None else self._names.get(post_id)

    def _add(self, name: str) -> None:
        stem, _, suffix = name.rpartition(".")
        if not stem or suffix.lower() not in _RANK:
            return
        rival = self._names.get(stem)
        if rival is None or _preference(name) < _preference(rival):
            self._names[stem] = name


def _preference(name: str) -> tuple[int, str]:
    return _RANK[name.rpartition(".")[2].lower()], name
