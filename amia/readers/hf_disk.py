"""Data sets that `datasets.save_to_disk` wrote: a folder of Arrow streams, or one such folder per split."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from amia.errors import CorpusError
from amia.posts import RawPost, Rejected
from amia.readers.arrow_table import TableReader
from amia.readers.safety.arrow_streams import check_batch, refuse_compressed_batches, refuse_stream_extensions
from amia.readers.safety.json_lines import parse_object

__all__ = ["hf_disk_files", "hf_disk_split", "is_hf_disk", "read_hf_disk"]


def is_hf_disk(folder: Path) -> bool:
    """Check whether `save_to_disk` wrote this folder."""
    return _has_splits(folder) or (folder / "state.json").is_file()


def hf_disk_files(folder: Path) -> list[Path]:
    """List the Arrow files of the folder, sorted by split and name. Raises CorpusError if one of them is missing."""
    files: list[Path] = []
    try:
        for split in _read_json(folder / "dataset_dict.json")["splits"] if _has_splits(folder) else [""]:
            part = folder / Path(split).name
            # Only the names are used, never paths, so the listing cannot lead out of the folder.
            files += [part / Path(entry["filename"]).name for entry in _read_json(part / "state.json")["_data_files"]]
    except (KeyError, TypeError) as error:
        raise CorpusError(f"{folder}: its state.json or dataset_dict.json was not written by `datasets`") from error
    for file in files:
        if not file.is_file():
            raise CorpusError(f"{file}: listed in state.json, but missing")
    return sorted(files)


def hf_disk_split(file: Path) -> str | None:
    """Return the split of an Arrow file: its folder's name in a set of splits, else the name in `state.json`."""
    if _has_splits(file.parent.parent):
        return file.parent.name
    split = _read_json(file.parent / "state.json").get("_split")
    # A slice of a split is saved as `train[:10%]`.
    name = re.match(r"\w+", split) if isinstance(split, str) else None
    return name[0] if name else None


def read_hf_disk(file: Path, name: str, split: str | None) -> Iterator[RawPost | Rejected]:
    """Yield the posts of one Arrow file, in order; `location` is `name#row`. The `datasets` library is not needed.

    Raises CorpusError for a damaged file, for extension types and compressed batches, and for the reasons of
    `TableReader`.
    """
    refuse_stream_extensions(file)
    try:
        refuse_compressed_batches(file)
        with pa.memory_map(str(file)) as stream, pa.ipc.open_stream(stream) as batches:
            reader = TableReader(batches.schema, name, split)
            for batch in batches:
                check_batch(batch.select(reader.columns), file)
                yield from reader.posts(batch)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorpusError(f"{file}: {error}") from error


def _has_splits(folder: Path) -> bool:
    return (folder / "dataset_dict.json").is_file()


def _read_json(file: Path) -> dict[str, Any]:
    try:
        return parse_object(file.read_bytes())
    except (OSError, CorpusError) as error:
        raise CorpusError(f"{file}: {error}") from error
