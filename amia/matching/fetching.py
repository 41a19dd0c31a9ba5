"""The encoder's files. Apart from the encoder, so that whoever only fetches it does not wait for torch."""

from pathlib import Path

from amia.matching.settings import ClipSettings
from amia.snapshots import fetched

__all__ = ["fetch_encoder"]


def fetch_encoder(settings: ClipSettings, *, local_files_only: bool = False) -> Path:
    """The folder with the model's files: the one that `settings` name, or the hub's, fetched unless it is here.

    With `local_files_only` the hub is not asked. Raises ModelError when it cannot be had.
    """
    return fetched("encoder", settings.model, settings.commit, local_files_only=local_files_only)
