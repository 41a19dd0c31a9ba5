"""Model weights on this node: fetched once, revision pinned, before any actor loads them.

Many actors of a node may ask at once: the hub's cache lets one of them fetch.
"""

from pathlib import Path

from diffusers import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from huggingface_hub import snapshot_download

from amia.errors import ModelError
from amia.matching.clip import ClipSettings
from amia.synthesis.settings import GeneratorSettings
from amia.weights import folder_identity, loading, quiet

__all__ = ["encoder_weights", "generator_weights"]

ENCODER_FILES = ["*.json", "*.txt", "model*.safetensors"]
"""Configuration, tokenizer and safetensors. Never `*.bin`: those are pickles."""


def encoder_weights(settings: ClipSettings) -> str:
    """Make sure that the encoder's files are on this node, and say which weights they are.

    The identity of a folder is a hash of its safetensors; that of a hub model its name and commit. Raises ModelError
    when a folder holds no safetensors, or when the hub cannot be reached or has no such model.
    """
    if identity := _of_folder("encoder", settings.model):
        return identity
    with quiet(), loading("encoder", settings.model):
        path = snapshot_download(settings.model, revision=settings.commit, allow_patterns=ENCODER_FILES)
    return f"{settings.model}@{Path(path).name}"


def generator_weights(settings: GeneratorSettings) -> str:
    """The same for the generator: a pipeline's parts in the variant that will be loaded, and no other."""
    if identity := _of_folder("generator", settings.model):
        return identity
    with quiet(diffusers_logging), loading("generator", settings.model):
        path = DiffusionPipeline.download(
            settings.model, revision=settings.commit, variant=settings.files, use_safetensors=True
        )
    return f"{settings.model}@{Path(path).name}{f' ({settings.files})' if settings.files else ''}"


def _of_folder(role: str, model: str) -> str | None:
    folder = Path(model)
    if not folder.is_dir():
        return None
    if not any(folder.rglob("*.safetensors")):
        raise ModelError(f"{role}: folder {model} holds no *.safetensors: amia loads no other kind of weights")
    return folder_identity(folder)
