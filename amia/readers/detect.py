"""What kind of source is this? Told from the names of its files."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from amia.errors import CorpusError
from amia.readers.corpus import Corpus, Kind
from amia.readers.hf_disk import hf_disk_files, is_hf_disk
from amia.readers.hub import PREFIX

__all__ = ["open_corpus"]

_CONLL_NAMES = ("train.txt", "valid.txt", "validation.txt", "val.txt", "dev.txt", "test.txt")
_ENDINGS: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".parquet": "parquet",
    ".tar": "webdataset",
    ".tar.gz": "webdataset",
    ".tgz": "webdataset",
}
_DEPTH = 3
"""Folders below the source that are searched when the source itself holds nothing known."""

_LOOKED_FOR = (
    "train.txt / valid.txt / dev.txt / test.txt (CoNLL), *.jsonl, *.parquet, *.tar (WebDataset), "
    "or dataset_dict.json / state.json (a data set saved by `datasets`)"
)


def open_corpus(source: str | Path, images: str | Path | None = None) -> Corpus:
    """The posts of a folder, a file, or of a data set on the hub (`hf:owner/name`, `hf:owner/name:config`).

    `images` is the folder of the images where they are files of their own. Without it: for CoNLL `images/` in the
    source, else the one folder there called `*_images`, else none; for JSONL and Parquet the source's own folder.

    Raises CorpusError when there is no such folder, when nothing in it is a known format, when two formats lie side by
    side, or when a file that is to be read is none (a pipe, a device).
    """
    image_root = _given_folder(images)
    if str(source).startswith(PREFIX):
        return Corpus(source=str(source), kind="datasets", files=[], root=Path(), image_root=image_root)
    path = Path(source)
    if not path.exists():
        raise CorpusError(f"{path}: there is no such file or folder")
    root = path if path.is_dir() else path.parent
    kind, files = _recognized(path)
    if kind == "webdataset" and image_root is not None:
        raise CorpusError(f"{path}: the images of a WebDataset lie in its tar files; leave --images out")
    if kind == "conll":
        image_root = image_root or _folder_beside(root)
    elif kind != "webdataset":
        image_root = image_root or root
    return Corpus(source=str(source), kind=kind, files=files, root=root, image_root=image_root)


def _given_folder(images: str | Path | None) -> Path | None:
    if images is None:
        return None
    folder = Path(images)
    if not folder.is_dir():
        raise CorpusError(f"images {folder}: there is no such folder")
    return folder


def _folder_beside(root: Path) -> Path | None:
    """The image folder of a CoNLL corpus by the names that public code uses."""
    if (root / "images").is_dir():
        return root / "images"
    named = sorted(folder for folder in root.glob("*_images") if folder.is_dir())
    if len(named) > 1:
        listed = ", ".join(folder.name for folder in named)
        raise CorpusError(f"{root}: several image folders ({listed}); say which one with --images")
    return named[0] if named else None


def _recognized(path: Path) -> tuple[Kind, list[Path]]:
    """The kind and the sorted files: of the folder itself, else of the first level of folders below that has any."""
    if path.is_file():
        kind = "conll" if path.suffix == ".txt" else _kind_of(path.name)
        if kind is None:
            raise CorpusError(f"{path}: not a known format; amia reads {_LOOKED_FOR}, or a single file of these")
        return kind, [path]
    if is_hf_disk(path):
        return "datasets", hf_disk_files(path)
    level = [path]
    for _ in range(_DEPTH + 1):
        found: dict[Kind, list[Path]] = {}
        below: list[Path] = []
        for entry in _entries(level):
            # Known from the listing: no file is touched, and there may be a million images.
            if _leads_to(entry.is_dir):
                below += [] if _is_aside(entry.name) else [Path(entry)]
            elif kind := _kind_of(entry.name):
                if not _leads_to(entry.is_file):
                    raise CorpusError(f"{entry.path}: a pipe, a device or a link to nowhere, not a file to be read")
                found.setdefault(kind, []).append(Path(entry))
        if len(found) > 1:
            both = ", ".join(f"{min(files).name} ({kind})" for kind, files in sorted(found.items()))
            raise CorpusError(f"{path}: several formats side by side: {both}; name the file or the folder you mean")
        for kind, files in found.items():
            return kind, sorted(files)
        level = sorted(below)
    raise CorpusError(f"{path}: nothing to read here; looked for {_LOOKED_FOR}")


def _entries(folders: list[Path]) -> Iterator[os.DirEntry[str]]:
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                yield from entries
        except OSError as error:
            raise CorpusError(f"{folder}: {error.strerror}") from error


def _leads_to(kind: Callable[[], bool]) -> bool:
    """Whether an entry is, or links to, something of a kind; a link that goes in a circle is nothing at all."""
    try:
        return kind()
    except OSError:
        return False


def _kind_of(name: str) -> Kind | None:
    if name.lower() in _CONLL_NAMES:
        return "conll"
    return next((kind for ending, kind in _ENDINGS.items() if name.lower().endswith(ending)), None)


def _is_aside(folder: str) -> bool:
    """Folders that hold no posts and may hold a million images."""
    return folder.startswith((".", "__")) or folder == "images" or folder.endswith("_images")
