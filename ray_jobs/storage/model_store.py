"""Recognizers by name: `models/<name>/` of a run, a local folder, or a folder of any store.

Only files directly in the folder belong to a model, and only those that hold its configuration, tokenizer, vocabulary
or safetensors weights. No other file is fetched or loaded.
"""

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from amia.errors import ModelError
from amia.mner.config import RecognizerConfig
from ray_jobs.storage.layout import MODELS, TRAINING_FILE, identity_key, model_folder
from ray_jobs.storage.store import Store

__all__ = ["Model", "cache_folder", "content_sha256", "find_model", "local_copy"]

SUFFIXES = {".json", ".safetensors", ".txt"}
TRAINING_RECORDS = {TRAINING_FILE, "identity.json"}
"""Files in the folder of a model that describe its training and are not part of it."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CHUNK_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Model:
    """A recognizer on this machine."""

    name: str
    """Name of its folder, which is also the name of the folder of its predictions."""
    address: str
    """Address of the model's folder: a path or a URL."""
    folder: Path
    """Local folder with its files."""
    sha256: str
    """SHA-256 of its files, names included."""
    config: RecognizerConfig


def find_model(name_or_address: str, run: Store | None = None) -> Model:
    """Find a recognizer by its name in `models/` of the run, else by its folder, else by a URL of its folder.

    Files in an object store are copied to this machine. Raises ModelError if there is no such model, if its training
    is incomplete, or if its folder's name cannot name a folder of predictions.
    """
    address = _resolve_address(name_or_address, run)
    folder = local_copy(address)
    config = RecognizerConfig.load(folder)
    name = Path(address).name
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"{address}: predictions are named after the model's folder, so rename the folder: only letters, digits, "
            "'.', '_' and '-' are allowed"
        )
    return Model(name, address, folder, content_sha256(folder), config)


def _resolve_address(name_or_address: str, run: Store | None) -> str:
    if run is not None and _NAME.fullmatch(name_or_address):
        folder = model_folder(name_or_address)
        if run.exists(f"{folder}/{TRAINING_FILE}"):
            return f"{run.address}/{folder}"
        if run.exists(identity_key(folder)):
            raise ModelError(
                f"the training of {name_or_address} in {run.address} is incomplete: start the same `amia train` again, "
                "it resumes where it stopped"
            )
    store = Store(name_or_address)
    if store.exists("config.json"):
        return store.address
    available = ""
    if run is not None:
        names = sorted({key.split("/")[1] for key in run.list(MODELS) if key.endswith(f"/{TRAINING_FILE}")})
        available = f"; {run.address} has {', '.join(names) or 'no trained model'}"
    raise ModelError(
        f"no recognizer {name_or_address!r}: it is neither a name in {MODELS}/ of the run nor a folder with "
        f"config.json{available}"
    )


def local_copy(address: str, sha256: str | None = None) -> Path:
    """Return a local folder with the model at `address`: the folder itself on a disk, else a cached copy.

    Without `sha256` the copy is fetched every time. Raises ModelError if the content does not match `sha256`.
    """
    store = Store(address)
    folder = store.folder or _download(store, sha256)
    if sha256 is not None and content_sha256(folder) != sha256:
        raise ModelError(
            f"the files of {address} on this machine differ from those on the machine that started the job: make the "
            "same model available on every machine"
        )
    return folder


def content_sha256(folder: Path) -> str:
    """Return the SHA-256 of a model's files, names included. Raises ModelError if there are no safetensors files."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and _is_model_file(path.name))
    if not any(path.suffix == ".safetensors" for path in files):
        raise ModelError(f"{folder} has no *.safetensors file: amia loads no other kind of weights")
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def cache_folder() -> Path:
    """Return amia's cache folder on this machine: `amia` in $XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amia"


def _is_model_file(key: str) -> bool:
    return "/" not in key and Path(key).suffix in SUFFIXES and key not in TRAINING_RECORDS


def _download(store: Store, sha256: str | None) -> Path:
    cache = cache_folder() / MODELS
    if sha256 is not None and (cache / sha256).is_dir():
        return cache / sha256
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            for key in filter(_is_model_file, store.list("")):
                with store.open(key) as source, (Path(scratch) / key).open("wb") as target:
                    shutil.copyfileobj(source, target, _CHUNK_BYTES)
            return _move_into(cache, Path(scratch))
    except OSError as error:
        raise ModelError(f"{store.address} could not be copied to {cache}: {error.strerror or error}") from error


def _move_into(cache: Path, downloaded: Path) -> Path:
    target = cache / content_sha256(downloaded)
    try:
        downloaded.rename(target)
    except OSError:
        if not target.is_dir():  # else another process has downloaded the same model
            raise
    return target
