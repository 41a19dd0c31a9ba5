"""Data sets that `datasets.save_to_disk` wrote: a folder of Arrow streams, or one such folder per split."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from amia.errors import CorpusError
from amia.posts import RawPost, Rejected
from amia.readers.arrow_table import TableReader
from amia.readers.safety.arrow_streams import check_batch, refuse_compressed_batches, refuse_stream_extensions
from amia.readers.safety.json_lines import parse_object
from amia.readers.source import Folder, LocalFile, SourceFile, sorted_by_name

__all__ = ["hf_disk_files", "is_hf_disk", "read_hf_disk"]

MAX_JSON_BYTES = 16 << 20
"""Bytes of `state.json` or `dataset_dict.json`; each file of a data set takes 60."""

_SPLITS, _STATE = "dataset_dict.json", "state.json"


def is_hf_disk(folder: Folder) -> bool:
    """Check whether `save_to_disk` wrote this folder."""
    return any(folder.find(name) is not None for name in (_SPLITS, _STATE))


def hf_disk_files(folder: Folder) -> list[SourceFile]:
    """List the Arrow files of the folder, sorted by split and name. Raises CorpusError if one of them is missing."""
    files: list[SourceFile] = []
    try:
        splits = folder.find(_SPLITS)
        for split in [""] if splits is None else _read_json(splits)["splits"]:
            # Only the names are used, never paths, so the listing cannot lead out of the folder.
            part = f"{PurePosixPath(split).name}/" if split else ""
            state = folder.find(part + _STATE)
            if state is None:
                raise CorpusError(f"{folder}/{part}{_STATE}: missing; save the data set again")
            files += [
                _find(folder, part + PurePosixPath(entry["filename"]).name)
                for entry in _read_json(state)["_data_files"]
            ]
    except (KeyError, TypeError) as error:
        raise CorpusError(f"{folder}: its state.json or dataset_dict.json was not written by `datasets`") from error
    return sorted_by_name(files)


def read_hf_disk(file: SourceFile) -> Iterator[RawPost | Rejected]:
    """Yield the posts of one Arrow file, in order; `location` is `name#row`. The `datasets` library is not needed.

    Raises CorpusError for a damaged file, for extension types and compressed batches, and for the reasons of
    `TableReader`.
    """
    split = _split_of(file)
    try:
        refuse_stream_extensions(file)
        refuse_compressed_batches(file)
        with _open_arrow(file) as stream, pa.ipc.open_stream(stream) as batches:
            reader = TableReader(batches.schema, file.label, split)
            for batch in batches:
                check_batch(batch.select(reader.columns), file)
                yield from reader.posts(batch)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorpusError(f"{file}: {error}") from error


def _open_arrow(file: SourceFile) -> Any:
    """Open an Arrow stream; one on a local disk is mapped into memory."""
    return pa.memory_map(str(file)) if isinstance(file, LocalFile) else file.open()


def _split_of(file: SourceFile) -> str | None:
    """Return the split of an Arrow file: its folder's name in a set of splits, else the name in `state.json`."""
    part = file.name.rpartition("/")[0]
    if part:
        return part
    state = file.sibling(_STATE)
    split = None if state is None else _read_json(state).get("_split")
    # A slice of a split is saved as `train[:10%]`.
    name = re.match(r"\w+", split) if isinstance(split, str) else None
    return name[0] if name else None


def _find(folder: Folder, name: str) -> SourceFile:
    file = folder.find(name)
    if file is None:
        raise CorpusError(f"{folder}/{name}: listed in {_STATE}, but missing")
    return file


def _read_json(file: SourceFile) -> dict[str, Any]:
    try:
        with file.open() as stream:
            return parse_object(stream.read(MAX_JSON_BYTES))
    except (OSError, CorpusError) as error:
        raise CorpusError(f"{file}: {error}") from error
