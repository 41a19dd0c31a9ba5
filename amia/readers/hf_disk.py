"""Data sets that `datasets.save_to_disk` wrote: a folder of Arrow streams, or a folder of such folders, one a split."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from amia.errors import CorpusError
from amia.posts import RawPost, Rejected
from amia.readers.arrow_table import TableReader
from amia.readers.safety.arrow_streams import refuse_broken_batch, refuse_packed_batches, refuse_stream_extensions
from amia.readers.safety.json_lines import parse_object

__all__ = ["hf_disk_files", "hf_disk_split", "is_hf_disk", "read_hf_disk"]


def is_hf_disk(folder: Path) -> bool:
    """Whether `save_to_disk` made this folder."""
    return _has_splits(folder) or (folder / "state.json").is_file()


def hf_disk_files(folder: Path) -> list[Path]:
    """The folder's Arrow files, sorted by split and name. Raises CorpusError when one of them is missing."""
    files: list[Path] = []
    try:
        for split in _load(folder / "dataset_dict.json")["splits"] if _has_splits(folder) else [""]:
            part = folder / Path(split).name
            # Only names, never paths: the listing must not lead out of the folder.
            files += [part / Path(entry["filename"]).name for entry in _load(part / "state.json")["_data_files"]]
    except (KeyError, TypeError) as error:
        raise CorpusError(f"{folder}: its state.json or dataset_dict.json is not one that `datasets` wrote") from error
    for file in files:
        if not file.is_file():
            raise CorpusError(f"{file}: listed in state.json, but not there")
    return sorted(files)


def hf_disk_split(file: Path) -> str | None:
    """The split that an Arrow file belongs to: its folder's name in a set of splits, else what its state says."""
    if _has_splits(file.parent.parent):
        return file.parent.name
    stated = _load(file.parent / "state.json").get("_split")
    # A part of a split is saved as `train[:10%]`.
    word = re.match(r"\w+", stated) if isinstance(stated, str) else None
    return word[0] if word else None


def read_hf_disk(file: Path, name: str, split: str | None) -> Iterator[RawPost | Rejected]:
    """The posts of one Arrow file, in order; `where` is `name#row`. The `datasets` library is not needed.

    Raises CorpusError for a damaged file, for extension types and packed batches, and where `TableReader` does.
    """
    refuse_stream_extensions(file)
    try:
        refuse_packed_batches(file)
        with pa.memory_map(str(file)) as stream, pa.ipc.open_stream(stream) as batches:
            reader = TableReader(batches.schema, name, split)
            for batch in batches:
                refuse_broken_batch(batch.select(reader.columns), file)
                yield from reader.posts(batch)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorpusError(f"{file}: {error}") from error


def _has_splits(folder: Path) -> bool:
    return (folder / "dataset_dict.json").is_file()


def _load(file: Path) -> dict[str, Any]:
    try:
        return parse_object(file.read_bytes())
    except (OSError, CorpusError) as error:
        raise CorpusError(f"{file}: {error}") from error
