"""The generator's files. Apart from the generator, so that whoever only fetches it does not wait for torch."""

from pathlib import Path
from typing import Any

from amia.errors import ModelError
from amia.model_folders import check_model_folder
from amia.synthesis.settings import GeneratorSettings
from amia.weights import hub_answers, loading, quiet

__all__ = ["fetch_generator"]


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

    with quiet(transformers_logging, diffusers_logging), loading("generator", settings.model):
        offline = local_files_only or not hub_answers(settings.model, settings.commit, "model_index.json")
        library: Any = DiffusionPipeline  # its methods have no types
        fetched = library.download(
            settings.model,
            revision=settings.commit,
            variant=settings.files,
            use_safetensors=True,
            local_files_only=offline,
        )
    check_model_folder("generator", Path(fetched))
    return Path(fetched)
