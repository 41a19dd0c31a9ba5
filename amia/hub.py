"""Locate, download and identify models: the package's own weights, local folders, and the Hugging Face hub.

A model is named by one of
- `demo:clip`, `demo:generator`, `demo:resnet`, `demo:bert`, `demo:mixture`: weights that ship with the package;
- a local folder;
- a repository of the hub, with an optional commit.

Only safetensors are loaded. For repositories that hold nothing but a pickle (such as OpenAI's ViT-B/16), Hugging Face's
conversion bot publishes safetensors in a pull request, which is where transformers takes them from, and so does this
module. Nothing here imports torch, so downloading a model does not wait for it.
"""

import hashlib
import logging
import os
import random
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from huggingface_hub import HfApi, scan_cache_dir, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import logging as hub_logging
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from transformers import dynamic_module_utils
from transformers.safetensors_conversion import get_conversion_pr_reference
from transformers.utils import logging as transformers_logging

from amia.errors import AmiaError, ModelError
from amia.hub_safety import check_model_folder

__all__ = [
    "fetch_converted_snapshot",
    "fetch_model",
    "fetch_pipeline",
    "is_hub_reachable",
    "resolve_path",
    "silence_libraries",
    "translate_load_errors",
    "weights_identity",
]

_DEMO = "demo:"
_DEMO_WEIGHTS = Path(__file__).parent / "demo" / "weights"
_MODEL_FILES = ["*.json", "*.txt", "*.safetensors"]
_CHUNK_BYTES = 1 << 20
_HUB_TIMEOUT_S = 10
"""Seconds that the hub may take to answer the first request."""
_HUB_ATTEMPTS = 6
_OVERLOADED = {429, 500, 502, 503, 504}
"""HTTP statuses after which the hub is asked again. A large cluster loads its models from one address."""
_MAX_WAIT_S = 60.0

Answer = TypeVar("Answer")


def resolve_path(model: str | os.PathLike[str]) -> Path:
    """Return the folder of weights that ship with the package (`demo:clip`), or `model` itself as a path.

    Raises ModelError for an unknown `demo:` name.
    """
    name = os.fspath(model)
    if not name.startswith(_DEMO):
        return Path(name)
    known = {f"{_DEMO}{folder.name}": folder for folder in sorted(_DEMO_WEIGHTS.iterdir()) if folder.is_dir()}
    if name not in known:
        raise ModelError(f"no weights called {name!r} ship with amia; choose one of {', '.join(known)}")
    return known[name]


def fetch_model(role: str, model: str, revision: str | None, *, local_files_only: bool = False) -> Path:
    """Return the folder with the files of a transformers model, downloading them if they are not cached.

    Args:
        role: Name of the model's role in error messages, such as `encoder`.
        model: `demo:NAME`, a local folder, or a repository of the hub.
        revision: Commit at the hub; None means the newest.
        local_files_only: Do not contact the hub.

    Raises:
        ModelError: If the model cannot be obtained, or if `check_model_folder` refuses its configuration.
    """
    folder = resolve_path(model)
    if not folder.is_dir():
        with silence_libraries(transformers_logging), translate_load_errors(role, model):
            offline = local_files_only or not is_hub_reachable(model, revision, "config.json")
            options: dict[str, Any] = {"allow_patterns": _MODEL_FILES, "local_files_only": offline}
            folder = Path(_ask_hub(lambda: snapshot_download(model, revision=revision, **options)))
            if not _has_safetensors(folder):
                folder = fetch_converted_snapshot(model, _MODEL_FILES, local_files_only=offline)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{role}: folder {folder} holds no model (no config.json)")
    check_model_folder(role, folder)
    return folder


def fetch_pipeline(
    role: str, model: str, revision: str | None, *, variant: str | None = None, local_files_only: bool = False
) -> Path:
    """Return the folder with the files of a diffusers pipeline, downloading them if they are not cached.

    `variant` selects weight files such as `fp16`; the other arguments and errors are those of `fetch_model`.
    """
    folder = resolve_path(model)
    if not folder.is_dir():
        # Only the pipeline classes know which files a pipeline needs. Importing them takes seconds.
        from diffusers import DiffusionPipeline
        from diffusers.utils import logging as diffusers_logging

        with silence_libraries(transformers_logging, diffusers_logging), translate_load_errors(role, model):
            offline = local_files_only or not is_hub_reachable(model, revision, "model_index.json")
            untyped: Any = DiffusionPipeline  # its methods have no types
            options: dict[str, Any] = {"use_safetensors": True, "local_files_only": offline}
            downloaded = _ask_hub(lambda: untyped.download(model, revision=revision, variant=variant, **options))
        folder = Path(downloaded)
    elif not (folder / "model_index.json").is_file():
        raise ModelError(f"{role}: folder {folder} holds no diffusers pipeline (no model_index.json)")
    check_model_folder(role, folder)
    return folder


def weights_identity(model: str, folder: Path) -> str:
    """Return a string that identifies the weights of `model`, equal on every machine.

    `folder` is the result of `fetch_model` or `fetch_pipeline`. For a repository of the hub the identity is
    `name@commit`; for a local folder and for weights that ship with the package it is `sha256:...` over the names and
    contents of all safetensors files in the folder and below. Raises ModelError if there are none.
    """
    if not resolve_path(model).is_dir():
        return f"{model}@{folder.name}"  # the hub's cache names a snapshot by its commit
    digest = hashlib.sha256()
    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        raise ModelError(f"folder {model} holds no *.safetensors: amia loads no other kind of weights")
    for path in files:
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def fetch_converted_snapshot(model: str, files: list[str], *, local_files_only: bool) -> Path:
    """Return the folder of `model` with the safetensors of the conversion bot, downloading them if not cached.

    The pull request is found by title, base commit and author (`SFconvertbot`). Raises OSError if there is no
    conversion or, with `local_files_only`, if no conversion is cached.
    """
    if not local_files_only:
        reference = _ask_hub(lambda: get_conversion_pr_reference(HfApi(), model))
        return Path(_ask_hub(lambda: snapshot_download(model, revision=reference, allow_patterns=files)))
    for repository in scan_cache_dir().repos:
        for revision in repository.revisions if repository.repo_id == model else ():
            if any(name.startswith("refs/pr/") for name in revision.refs) and _has_safetensors(revision.snapshot_path):
                return Path(revision.snapshot_path)
    raise OSError(f"the cached copy of {model} has no safetensors, and the hub may not be contacted")


def is_hub_reachable(model: str, revision: str | None, file: str) -> bool:
    """Check whether the hub answers for `model`; False if it does not but the model's `file` is cached.

    Without a network, one request is sent, since downloads retry for half a minute. An overloaded hub is asked again if
    the file is not cached. Raises the original error if the hub does not answer and the file is not cached.
    """

    def request() -> object:
        return HfApi().model_info(model, revision=revision, timeout=_HUB_TIMEOUT_S)

    is_cached = isinstance(try_to_load_from_cache(model, file, revision=revision), str)
    try:
        request() if is_cached else _ask_hub(request)
    except Exception:  # network errors share no base class
        if is_cached:
            return False
        raise
    return True


@contextmanager
def silence_libraries(*loggings: ModuleType) -> Iterator[None]:
    """Suppress progress bars and warnings of libraries inside the block; restore the user's choices afterwards.

    `loggings` are modules such as `transformers.utils.logging` and `diffusers.utils.logging`, which share one
    interface. The hub's own library is always included.
    """
    hub_bars, hub_verbosity = not are_progress_bars_disabled(), hub_logging.get_verbosity()
    previous = [(library, library.get_verbosity(), library.is_progress_bar_enabled()) for library in loggings]
    try:
        disable_progress_bars()
        hub_logging.set_verbosity(logging.ERROR)
        for library in loggings:
            library.set_verbosity_error()
            library.disable_progress_bar()
        with warnings.catch_warnings():
            # diffusers' Euler scheduler hands tensors to NumPy in a way that NumPy 2 deprecates.
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
            yield
    finally:
        for library, verbosity, bars in previous:
            library.set_verbosity(verbosity)
            if bars:
                library.enable_progress_bar()
        hub_logging.set_verbosity(hub_verbosity)
        if hub_bars:
            enable_progress_bars()
        else:
            disable_progress_bars()


@contextmanager
def translate_load_errors(role: str, model: str) -> Iterator[None]:
    """Convert any exception of the libraries while loading `model` to a ModelError that says what to do.

    Models whose configuration asks for custom code are refused: the interactive question of transformers is disabled
    inside the block.
    """
    timeout, dynamic_module_utils.TIME_OUT_REMOTE_CODE = dynamic_module_utils.TIME_OUT_REMOTE_CODE, 0
    try:
        yield
    except AmiaError:
        raise
    except Exception as error:  # network, files and configurations fail in many ways
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if "trust_remote_code" in str(error):
            reason = "it needs custom code, and amia runs no code that comes with a model"
        folder = resolve_path(model)
        if folder.is_dir():
            raise ModelError(f"{role}: folder {folder} cannot be loaded: {reason}") from error
        raise ModelError(
            f"{role}: {model!r} is not a local folder, and it could not be loaded from the Hugging Face hub: {reason}\n"
            "Check the name and the network, or use `--config demo`, which runs offline with small weights"
        ) from error
    finally:
        dynamic_module_utils.TIME_OUT_REMOTE_CODE = timeout


def _ask_hub(request: Callable[[], Answer]) -> Answer:
    """Send a request, and again while the hub is overloaded: after what it asks for, or 1, 2, 4 ... seconds."""
    for attempt in range(_HUB_ATTEMPTS - 1):
        try:
            return request()
        except Exception as error:  # the libraries wrap the hub's errors in several ways
            if (answer := _overloaded(error)) is None:
                raise
            asked = answer.headers.get("Retry-After", "")
            wait_s = float(asked) if asked.isdecimal() else 2.0**attempt
            time.sleep(min(_MAX_WAIT_S, wait_s) * random.uniform(1, 1.5))
    return request()


def _overloaded(error: BaseException | None) -> Any | None:
    """Return the response of an overloaded hub that caused an error; None if the cause is another one."""
    while error is not None:
        if isinstance(error, HfHubHTTPError) and error.response.status_code in _OVERLOADED:
            return error.response
        error = error.__cause__ or error.__context__
    return None


def _has_safetensors(folder: Path) -> bool:
    return any(folder.glob("*.safetensors"))
