"""Safetensors of a hub model whose makers published a pickle only, as OpenAI did with ViT-B/16.

Hugging Face converts such models itself: the weights stand in a pull request of its bot, beside the untouched original.
transformers takes them from there when it is asked for safetensors; so do we, since a pickle is never loaded.
"""

from pathlib import Path

from huggingface_hub import HfApi, scan_cache_dir, snapshot_download
from transformers.safetensors_conversion import get_conversion_pr_reference

__all__ = ["converted_snapshot", "has_safetensors"]


def has_safetensors(folder: Path) -> bool:
    """Whether there is anything to load."""
    return any(folder.glob("*.safetensors"))


def converted_snapshot(model: str, files: list[str], *, local_files_only: bool) -> Path:
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
