"""Detection of a source's format from the names of its files."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from amia.errors import CorpusError
from amia.readers.corpus import FORMATS, Corpus
from amia.readers.hf_disk import hf_disk_files, is_hf_disk
from amia.readers.hub import PREFIX

__all__ = ["open_corpus"]

_CONLL_NAMES = ("train.txt", "valid.txt", "validation.txt", "val.txt", "dev.txt", "test.txt")
_MAX_DEPTH = 3
"""Levels of subfolders that are searched if the source itself contains no known file."""

_KNOWN_FORMATS = (
    "train.txt / valid.txt / dev.txt / test.txt (CoNLL), *.jsonl, *.parquet, *.tar (WebDataset), "
    "or dataset_dict.json / state.json (a data set saved by `datasets`)"
)


def open_corpus(source: str | Path, images: str | Path | None = None) -> Corpus:
    """Open a folder, a file, or a data set on the hub (`hf:owner/name`, `hf:owner/name:config`).

    `images` is the folder of images that are separate files. Its default for CoNLL is `images/` in the source, else
    the only folder there called `*_images`, else none; for JSONL and Parquet it is the folder of the source.

    Raises CorpusError if the source does not exist, contains no known format or two formats, or if a file to be read
    is a pipe or a device.
    """
    image_root = _existing_folder(images)
    if str(source).startswith(PREFIX):
        return Corpus(source=str(source), kind="datasets", files=[], root=Path(), image_root=image_root)
    path = Path(source)
    if not path.exists():
        raise CorpusError(f"{path}: no such file or folder")
    root = path if path.is_dir() else path.parent
    kind, files = _detect(path)
    if kind == "webdataset" and image_root is not None:
        raise CorpusError(f"{path}: the tar files of a WebDataset contain its images; omit --images")
    if kind == "conll":
        image_root = image_root or _default_image_folder(root)
    elif kind != "webdataset":
        image_root = image_root or root
    return Corpus(source=str(source), kind=kind, files=files, root=root, image_root=image_root)


def _existing_folder(images: str | Path | None) -> Path | None:
    if images is None:
        return None
    folder = Path(images)
    if not folder.is_dir():
        raise CorpusError(f"images {folder}: no such folder")
    return folder


def _default_image_folder(root: Path) -> Path | None:
    """Return the image folder of a CoNLL corpus by the names that public code uses."""
    if (root / "images").is_dir():
        return root / "images"
    folders = sorted(folder for folder in root.glob("*_images") if folder.is_dir())
    if len(folders) > 1:
        names = ", ".join(folder.name for folder in folders)
        raise CorpusError(f"{root}: several image folders ({names}); choose one with --images")
    return folders[0] if folders else None


def _detect(path: Path) -> tuple[str, list[Path]]:
    """Return the kind and the sorted files of the folder itself, else of the first level of subfolders with any."""
    if path.is_file():
        kind = "conll" if path.suffix == ".txt" else _kind_of(path.name)
        if kind is None:
            raise CorpusError(f"{path}: not a known format; amia reads {_KNOWN_FORMATS}, or a single file of these")
        return kind, [path]
    if is_hf_disk(path):
        return "datasets", hf_disk_files(path)
    level = [path]
    for _ in range(_MAX_DEPTH + 1):
        files_by_kind: dict[str, list[Path]] = {}
        subfolders: list[Path] = []
        for entry in _entries(level):
            # The listing tells files from folders without opening any, and there may be a million images.
            if _check_entry(entry.is_dir):
                subfolders += [] if _is_ignored(entry.name) else [Path(entry)]
            elif kind := _kind_of(entry.name):
                if not _check_entry(entry.is_file):
                    raise CorpusError(f"{entry.path}: a pipe, a device or a broken link, not a regular file")
                files_by_kind.setdefault(kind, []).append(Path(entry))
        if len(files_by_kind) > 1:
            examples = ", ".join(f"{min(files).name} ({kind})" for kind, files in sorted(files_by_kind.items()))
            raise CorpusError(f"{path}: several formats in one folder: {examples}; name a single file or subfolder")
        for kind, files in files_by_kind.items():
            return kind, sorted(files)
        level = sorted(subfolders)
    raise CorpusError(f"{path}: no corpus found; looked for {_KNOWN_FORMATS}")


def _entries(folders: list[Path]) -> Iterator[os.DirEntry[str]]:
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                yield from entries
        except OSError as error:
            raise CorpusError(f"{folder}: {error.strerror}") from error


def _check_entry(test: Callable[[], bool]) -> bool:
    """Return the result of `entry.is_dir` or `entry.is_file`; False for a circular link."""
    try:
        return test()
    except OSError:
        return False


def _kind_of(name: str) -> str | None:
    if name.lower() in _CONLL_NAMES:
        return "conll"
    return next((kind for kind, known in FORMATS.items() if name.lower().endswith(known.suffixes)), None)


def _is_ignored(folder: str) -> bool:
    """Check for folders that hold no posts and may hold a million images."""
    return folder.startswith((".", "__")) or folder == "images" or folder.endswith("_images")
