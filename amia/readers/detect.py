"""Detection of a source's format from the names of its files."""

from pathlib import Path

from amia.errors import CorpusError
from amia.images import ImageRoot
from amia.readers.corpus import FORMATS, Corpus
from amia.readers.hf_disk import hf_disk_files, is_hf_disk
from amia.readers.hub import PREFIX
from amia.readers.source import Folder, SourceFile, open_folder, open_source, sorted_by_name
from amia.utils.store_reader import StoreReader, is_url

__all__ = ["open_corpus", "open_image_root"]

_CONLL_NAMES = ("train.txt", "valid.txt", "validation.txt", "val.txt", "dev.txt", "test.txt")
_MAX_DEPTH = 3
"""Levels of subfolders that are searched if the source itself contains no known file."""

_KNOWN_FORMATS = (
    "train.txt / valid.txt / dev.txt / test.txt (CoNLL), *.jsonl, *.parquet, *.tar (WebDataset), "
    "or dataset_dict.json / state.json (a data set saved by `datasets`)"
)


def open_corpus(source: str | Path, images: str | Path | None = None) -> Corpus:
    """Open a folder, a file, or a data set on the hub (`hf:owner/name`, `hf:owner/name:config`).

    The folder or file is on a local disk or in an object store (`s3://bucket/posts`, `gs://`, `az://`). `images` is the
    folder of images that are separate files, in either of them. Its default for CoNLL is `images/` in the source, else
    the only folder there called `*_images`, else none; for JSONL and Parquet it is the folder of the source.

    Raises CorpusError if the source does not exist, contains no known format or two formats, or if a file to be read
    is a pipe or a device; StoreError if the object store fails.
    """
    if str(source).startswith(("http://", "https://")):
        raise CorpusError(f"{source}: amia does not read HTTP; download the files, or copy them into a bucket")
    image_root = None if images is None else open_image_root(images)
    if str(source).startswith(PREFIX):
        return Corpus(source=str(source), kind="datasets", files=[], image_root=image_root)
    folder, file = open_source(source)
    kind, files = _detect(folder) if file is None else (_kind_of_file(file), [file])
    if kind == "webdataset" and image_root is not None:
        raise CorpusError(f"{source}: the tar files of a WebDataset contain its images; omit --images")
    if kind == "conll":
        image_root = image_root or _default_image_folder(folder)
    elif kind != "webdataset":
        image_root = image_root or folder.subfolder("")
    return Corpus(source=str(source), kind=kind, files=files, image_root=image_root)


def open_image_root(images: str | Path) -> ImageRoot:
    """Return the folder or prefix of images. Raises CorpusError if there is no such folder or nothing below it."""
    if is_url(str(images)):
        store = StoreReader(images)
        if next(open_folder(store).entries(), None) is None:
            raise CorpusError(f"images {images}: nothing there, or this machine's credentials may not list it")
        return store
    folder = Path(images)
    if not folder.is_dir():
        raise CorpusError(f"images {folder}: no such folder")
    return folder


def _default_image_folder(folder: Folder) -> ImageRoot | None:
    """Return the image folder of a CoNLL corpus by the names that public code uses."""
    subfolders = sorted(name for name, file in folder.entries() if file is None)
    if "images" in subfolders:
        return folder.subfolder("images")
    found = [name for name in subfolders if name.endswith("_images")]
    if len(found) > 1:
        raise CorpusError(f"{folder}: several image folders ({', '.join(found)}); choose one with --images")
    return folder.subfolder(found[0]) if found else None


def _kind_of_file(file: SourceFile) -> str:
    kind = "conll" if file.name.endswith(".txt") else _kind_of(file.name)
    if kind is None:
        raise CorpusError(f"{file}: not a known format; amia reads {_KNOWN_FORMATS}, or a single file of these")
    if not file.is_regular():
        raise CorpusError(f"{file}: a pipe, a device or a broken link, not a regular file")
    return kind


def _detect(folder: Folder) -> tuple[str, list[SourceFile]]:
    """Return the kind and the sorted files of the folder itself, else of the first level of subfolders with any."""
    if is_hf_disk(folder):
        return "datasets", hf_disk_files(folder)
    level = [""]
    for _ in range(_MAX_DEPTH + 1):
        files_by_kind: dict[str, list[SourceFile]] = {}
        subfolders: list[str] = []
        for name, file in (entry for subfolder in level for entry in folder.entries(subfolder)):
            last = name.rpartition("/")[2]
            if file is None:
                subfolders += [] if _is_ignored(last) else [name]
            elif kind := _kind_of(last):
                if not file.is_regular():
                    raise CorpusError(f"{file}: a pipe, a device or a broken link, not a regular file")
                files_by_kind.setdefault(kind, []).append(file)
        if len(files_by_kind) > 1:
            examples = ", ".join(
                f"{sorted_by_name(files)[0].name.rpartition('/')[2]} ({kind})"
                for kind, files in sorted(files_by_kind.items())
            )
            raise CorpusError(f"{folder}: several formats in one folder: {examples}; name a single file or subfolder")
        for kind, files in files_by_kind.items():
            return kind, sorted_by_name(files)
        level = sorted(subfolders)
    raise CorpusError(f"{folder}: no corpus found; looked for {_KNOWN_FORMATS}")


def _kind_of(name: str) -> str | None:
    if name.lower() in _CONLL_NAMES:
        return "conll"
    return next((kind for kind, known in FORMATS.items() if name.lower().endswith(known.suffixes)), None)


def _is_ignored(folder: str) -> bool:
    """Check for folders that hold no posts and may hold a million images."""
    return folder.startswith((".", "__")) or folder == "images" or folder.endswith("_images")
