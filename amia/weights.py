"""Weights of foreign models: fetched without noise, named so that runs cannot mix them."""

import hashlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.utils import logging as hub_logging
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from transformers import dynamic_module_utils

from amia.errors import AmiaError, ModelError

__all__ = ["hub_answers", "identity_of", "loading", "quiet"]

_CHUNK = 1 << 20
_PATIENCE_S = 10
"""Seconds that the hub gets for its first answer."""


@contextmanager
def quiet(*loggings: ModuleType) -> Iterator[None]:
    """No progress bars and no warnings from these libraries inside; the person's own choices are back afterwards.

    `loggings` are `transformers.utils.logging` and `diffusers.utils.logging`, which share one interface.
    """
    hub_bars, hub_verbosity = not are_progress_bars_disabled(), hub_logging.get_verbosity()
    before = [(library, library.get_verbosity(), library.is_progress_bar_enabled()) for library in loggings]
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
        for library, verbosity, bars in before:
            library.set_verbosity(verbosity)
            if bars:
                library.enable_progress_bar()
        hub_logging.set_verbosity(hub_verbosity)
        if hub_bars:
            enable_progress_bars()
        else:
            disable_progress_bars()


@contextmanager
def loading(role: str, model: str) -> Iterator[None]:
    """Turns what the libraries raise when they cannot load `model` into a ModelError that says what to do.

    A model whose configuration asks for code of its own is refused: inside, nobody is asked whether it may run.
    """
    patience, dynamic_module_utils.TIME_OUT_REMOTE_CODE = dynamic_module_utils.TIME_OUT_REMOTE_CODE, 0
    try:
        yield
    except AmiaError:
        raise
    except Exception as error:  # of the network, of the files, of what they say
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if "trust_remote_code" in str(error):
            reason = "it needs code of its own, and amia runs none that comes with a model"
        if Path(model).is_dir():
            raise ModelError(f"{role}: folder {model} cannot be loaded: {reason}") from error
        raise ModelError(
            f"{role}: {model!r} is no folder here, and it could not be had from the Hugging Face hub either: {reason}\n"
            "Check the name and the network; `--config demo` tries everything offline, with small weights of its own"
        ) from error
    finally:
        dynamic_module_utils.TIME_OUT_REMOTE_CODE = patience


def hub_answers(model: str, commit: str | None, file: str) -> bool:
    """Whether the hub answers for `model`; False when it does not, but the model's `file` is here from before.

    One request without retries: downloads retry for half a minute where there is no network. Raises what it met when
    the file is not here either.
    """
    try:
        HfApi().model_info(model, revision=commit, timeout=_PATIENCE_S)
    except Exception:  # no one base class holds what the network can do
        if isinstance(try_to_load_from_cache(model, file, revision=commit), str):
            return False
        raise
    return True


def identity_of(model: str, folder: Path) -> str:
    """What tells a model from any other, the same wherever it lies.

    `name@commit` when `folder` is the hub's copy of `model`; when `model` is itself a folder, `sha256:...` of the
    safetensors files in and under it, names included. Raises ModelError when it holds none.
    """
    if not Path(model).is_dir():
        return f"{model}@{folder.name}"  # the hub's cache names a copy by its commit
    digest = hashlib.sha256()
    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        raise ModelError(f"folder {model} holds no *.safetensors: amia loads no other kind of weights")
    for path in files:
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"
