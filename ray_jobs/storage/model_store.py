"""Recognizers by name: a run's own `models/<name>/`, a folder, or such a folder in any store.

Only plain files directly in the folder count, and only those that say or hold a model: configuration, tokenizer or
vocabulary, safetensors. Nothing else is ever fetched or loaded.
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
from ray_jobs.storage.store import Store
from ray_jobs.training.training_status import FOLDER, WHOLE

__all__ = ["FOLDER", "Model", "content_sha256", "find_model", "local_copy"]

KINDS = {".json", ".safetensors", ".txt"}
ABOUT_TRAINING = {WHOLE, "identity.json"}
"""Stands beside a model and is no part of it."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CHUNK = 16 << 20


@dataclass(frozen=True, slots=True)
class Model:
    """A recognizer that was found."""

    name: str
    """Its folder's name, and that of the folder its predictions go to."""
    address: str
    """Of its folder: a path, or a URL."""
    folder: Path
    """Its files on this machine."""
    sha256: str
    """Of its files, names included."""
    config: RecognizerConfig


def find_model(asked: str, run: Store | None = None) -> Model:
    """The recognizer `asked` for: a name in `models/` of the run, else a folder, else a URL of one.

    Files in an object store are copied to this machine. Raises ModelError when there is none, or its training has not
    ended.
    """
    address = _address(asked, run)
    folder = local_copy(address)
    config = RecognizerConfig.load(folder)
    name = Path(address).name
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"{address}: predictions are named after the model's folder, so rename it: letters, digits, . _ -"
        )
    return Model(name, address, folder, content_sha256(folder), config)


def _address(asked: str, run: Store | None) -> str:
    if run is not None and _NAME.fullmatch(asked):
        folder = f"{FOLDER}/{asked}"
        if run.exists(f"{folder}/{WHOLE}"):
            return f"{run.address}/{folder}"
        if run.exists(f"{folder}/identity.json"):
            raise ModelError(
                f"the training of {asked} in {run.address} has not ended: start the same `amia train` again, it goes "
                "on where it stopped"
            )
    store = Store(asked)
    if store.exists("config.json"):
        return store.address
    there = sorted({key.split("/")[1] for key in run.list(FOLDER) if key.endswith(f"/{WHOLE}")}) if run else []
    has = f"; {run.address} has {', '.join(there) or 'no trained model'}" if run else ""
    raise ModelError(f"no recognizer {asked!r}: neither a name in a run's {FOLDER}/ nor a folder with config.json{has}")


def local_copy(address: str, sha256: str | None = None) -> Path:
    """The folder of a model on this machine: itself on a disk, else a copy, fetched once where `sha256` is known.

    Raises ModelError when its content is not that of `sha256`.
    """
    store = Store(address)
    folder = store.folder or _fetched(store, sha256)
    if sha256 is not None and content_sha256(folder) != sha256:
        raise ModelError(f"{address} is not the model on this machine that it was where the job was started")
    return folder


def content_sha256(folder: Path) -> str:
    """SHA-256 of a model's files, names included. Raises ModelError when there are no safetensors among them."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and _is_part(path.name))
    if not any(path.suffix == ".safetensors" for path in files):
        raise ModelError(f"{folder} holds no *.safetensors: amia loads no other kind of weights")
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _is_part(key: str) -> bool:
    return "/" not in key and Path(key).suffix in KINDS and key not in ABOUT_TRAINING


def _fetched(store: Store, sha256: str | None) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amia" / FOLDER
    if sha256 is not None and (cache / sha256).is_dir():
        return cache / sha256
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            for key in filter(_is_part, store.list("")):
                with store.open(key) as source, (Path(scratch) / key).open("wb") as target:
                    shutil.copyfileobj(source, target, _CHUNK)
            return _moved(Path(scratch), cache)
    except OSError as error:
        raise ModelError(f"{store.address} could not be copied to {cache}: {error.strerror or error}") from error


def _moved(whole: Path, cache: Path) -> Path:
    final = cache / content_sha256(whole)
    try:
        whole.rename(final)
    except OSError:
        if not final.is_dir():
            raise
        # Another process was first.
    return final
