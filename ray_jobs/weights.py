"""Model weights on this node: fetched once, revision pinned, before any actor loads them."""

from pathlib import Path

from huggingface_hub import snapshot_download

from amia.errors import ModelError
from amia.weights import folder_identity, loading, quiet

__all__ = ["have_weights"]

WANTED = ["*.json", "*.safetensors", "*.txt", "*.model"]
"""Configurations, tokenizers and safetensors. Never `*.bin` or `*.pt`: those are pickles."""


def have_weights(role: str, model: str, commit: str | None) -> str:
    """Make sure that the files of a model are on this node, and say which weights they are.

    The identity of a folder is a hash of its safetensors; that of a hub model its name and commit. Many actors of a
    node may call this at once: the hub's cache lets one of them fetch.

    Raises ModelError when a folder holds no safetensors, or when the hub cannot be reached or has no such model.
    """
    folder = Path(model)
    if folder.is_dir():
        if not any(folder.rglob("*.safetensors")):
            raise ModelError(f"{role}: folder {model} holds no *.safetensors: amia loads no other kind of weights")
        return folder_identity(folder)
    with quiet(), loading(role, model):
        path = Path(snapshot_download(model, revision=commit, allow_patterns=WANTED))
    return f"{model}@{path.name}"
