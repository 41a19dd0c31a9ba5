"""A model's folder: the person's own, or the Hugging Face hub's copy, fetched once."""

import hashlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from huggingface_hub import HfApi, scan_cache_dir, snapshot_download, try_to_load_from_cache
from huggingface_hub.utils import logging as hub_logging
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from transformers import dynamic_module_utils
from transformers.safetensors_conversion import get_conversion_pr_reference
from transformers.utils import logging as transformers_logging

from amia.errors import AmiaError, ModelError
from amia.hub_safety import check_model_folder
from amia.matching.settings import ClipSettings
from amia.synthesis.settings import GeneratorSettings

__all__ = [
    "fetch_converted_snapshot",
    "fetch_encoder",
    "fetch_generator",
    "fetch_model_folder",
    "has_safetensors",
    "is_hub_reachable",
    "silence_libraries",
    "translate_load_errors",
    "weights_identity",
]

# MERGED FROM amia.hub: Weights of foreign models: fetched without noise, named so that runs cannot mix them.
# MERGED FROM amia.hub: Safetensors of a hub model whose makers published a pickle only, as OpenAI did with ViT-B/16.
#
# Hugging Face converts such models itself: the weights stand in a pull request of its bot, beside the untouched original.
# transformers takes them from there when it is asked for safetensors; so do we, since a pickle is never loaded.
# MERGED FROM amia.hub: The encoder's files. Apart from the encoder, so that whoever only fetches it does not wait for torch.
# MERGED FROM amia.hub: The generator's files. Apart from the generator, so that whoever only fetches it does not wait for torch.
_FILES = ["*.json", "*.txt", "*.safetensors"]


def fetch_model_folder(role: str, model: str, commit: str | None, *, local_files_only: bool = False) -> Path:
    """The folder with the files of `model`: itself where it is one, or the hub's, fetched unless it is here.

    `role` (`encoder`) is what messages call it. With `local_files_only` the hub is not asked. Raises ModelError when it
    cannot be had, or
    asks for what `check_model_folder` refuses.
    """
    folder = Path(model)
    if not folder.is_dir():
        with silence_libraries(transformers_logging), translate_load_errors(role, model):
            offline = local_files_only or not is_hub_reachable(model, commit, "config.json")
            folder = Path(snapshot_download(model, revision=commit, allow_patterns=_FILES, local_files_only=offline))
            if not has_safetensors(folder):
                folder = fetch_converted_snapshot(model, _FILES, local_files_only=offline)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{role}: folder {folder} holds no model (no config.json)")
    check_model_folder(role, folder)
    return folder


_CHUNK = 1 << 20
_PATIENCE_S = 10
"""Seconds that the hub gets for its first answer."""


@contextmanager
def silence_libraries(*loggings: ModuleType) -> Iterator[None]:
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
def translate_load_errors(role: str, model: str) -> Iterator[None]:
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


def is_hub_reachable(model: str, commit: str | None, file: str) -> bool:
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


def weights_identity(model: str, folder: Path) -> str:
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


def has_safetensors(folder: Path) -> bool:
    """Whether there is anything to load."""
    return any(folder.glob("*.safetensors"))


def fetch_converted_snapshot(model: str, files: list[str], *, local_files_only: bool) -> Path:
    """The hub's folder of `model` with the bot's safetensors, fetched unless it is here.

    The reference is looked up by title, base commit and author (`SFconvertbot`). Raises OSError when there is no
    conversion, or, with `local_files_only`, when none was fetched before.
    """
    if not local_files_only:
        reference = get_conversion_pr_reference(HfApi(), model)
        return Path(snapshot_download(model, revision=reference, allow_patterns=files))
    for repository in scan_cache_dir().repos:
        for revision in repository.revisions if repository.repo_id == model else ():
            if any(name.startswith("refs/pr/") for name in revision.refs) and has_safetensors(revision.snapshot_path):
                return Path(revision.snapshot_path)
    raise OSError(f"the copy of {model} on this machine has no safetensors, and the hub was not to be asked")


def fetch_encoder(settings: ClipSettings, *, local_files_only: bool = False) -> Path:
    """The folder with the model's files: the one that `settings` name, or the hub's, fetched unless it is here.

    With `local_files_only` the hub is not asked. Raises ModelError when it cannot be had.
    """
    return fetch_model_folder("encoder", settings.model, settings.commit, local_files_only=local_files_only)


def fetch_generator(settings: GeneratorSettings, *, local_files_only: bool = False) -> Path:
    """The folder with the model's files: the one that `settings` name, or the hub's, fetched unless it is here.

    With `local_files_only` the hub is not asked. Raises ModelError when it cannot be had.
    """
    folder = Path(settings.model)
    if folder.is_dir():
        if not (folder / "model_index.json").is_file():
            raise ModelError(f"generator: folder {folder} holds no diffusers pipeline (no model_index.json)")
        check_model_folder("generator", folder)
        return folder
    # The libraries only know how to fetch a pipeline once they have loaded everything that could run it.
    from diffusers import DiffusionPipeline
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    with silence_libraries(transformers_logging, diffusers_logging), translate_load_errors("generator", settings.model):
        offline = local_files_only or not is_hub_reachable(settings.model, settings.commit, "model_index.json")
        library: Any = DiffusionPipeline  # its methods have no types
        fetch_model_folder = library.download(
            settings.model,
            revision=settings.commit,
            variant=settings.files,
            use_safetensors=True,
            local_files_only=offline,
        )
    check_model_folder("generator", Path(fetch_model_folder))
    return Path(fetch_model_folder)
