"""A model's folder: the person's own, or the Hugging Face hub's copy, fetched once."""

from pathlib import Path

from huggingface_hub import snapshot_download
from transformers.utils import logging as transformers_logging

from amia.converted import converted_snapshot, has_safetensors
from amia.errors import ModelError
from amia.model_folders import check_model_folder
from amia.weights import hub_answers, loading, quiet

__all__ = ["fetched"]

_FILES = ["*.json", "*.txt", "*.safetensors"]


def fetched(role: str, model: str, commit: str | None, *, local_files_only: bool = False) -> Path:
    """The folder with the files of `model`: itself where it is one, or the hub's, fetched unless it is here.

    `role` (`encoder`) is what messages call it. With `local_files_only` the hub is not asked. Raises ModelError when it
    cannot be had, or
    asks for what `check_model_folder` refuses.
    """
    folder = Path(model)
    if not folder.is_dir():
        with quiet(transformers_logging), loading(role, model):
            offline = local_files_only or not hub_answers(model, commit, "config.json")
            folder = Path(snapshot_download(model, revision=commit, allow_patterns=_FILES, local_files_only=offline))
            if not has_safetensors(folder):
                folder = converted_snapshot(model, _FILES, local_files_only=offline)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{role}: folder {folder} holds no model (no config.json)")
    check_model_folder(role, folder)
    return folder
