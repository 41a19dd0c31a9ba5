"""`amia fetch`: download every model of a configuration into this machine's cache.

Jobs download their models by themselves. For workers without internet access, one machine fills a cache that the
workers read: `HF_HOME` on a disk that all of them share.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from amia.hub import fetch_model, fetch_pipeline, weights_identity
from ray_jobs.settings.job import Settings

__all__ = ["DownloadResult", "download_models"]


@dataclass(frozen=True, slots=True)
class DownloadResult:
    """A model whose files are on this machine."""

    role: str
    """`encoder`, `generator`, `text encoder` or `visual encoder`."""
    identity: str
    """`name@commit`, or the digest of a local folder, as in the manifest of a run."""
    folder: Path


def download_models(settings: Settings, systems: Sequence[str] = ()) -> list[DownloadResult]:
    """Download the encoder, the generator, and the pretrained encoders of each recognizer in `systems`.

    Each model is then looked up without access to the hub, as actors do. Raises ModelError if a model is not available,
    and SettingsError for an unknown system.
    """
    if systems:
        from amia.mner.systems import get_system  # imports torch

        for system in systems:
            get_system(system)  # refuse unknown names before gigabytes are downloaded
    for _ in _model_folders(settings, systems, local_files_only=False):
        pass
    results = {
        role: DownloadResult(role, weights_identity(model, folder), folder)
        for role, model, folder in _model_folders(settings, systems, local_files_only=True)
    }
    return list(results.values())  # several systems may share an encoder


def _model_folders(
    settings: Settings, systems: Sequence[str], *, local_files_only: bool
) -> Iterator[tuple[str, str, Path]]:
    """Yield role, name and local folder of each model."""
    clip, generator, recognizer = settings.clip, settings.generator, settings.recognizer
    yield "encoder", clip.model, fetch_model("encoder", clip.model, clip.commit, local_files_only=local_files_only)
    folder = fetch_pipeline(
        "generator",
        generator.model,
        generator.commit,
        variant=generator.weight_variant,
        local_files_only=local_files_only,
    )
    yield "generator", generator.model, folder
    if not systems:
        return
    from amia.mner.builder import fetch_encoders  # imports torch

    names = {"text encoder": recognizer.text.model, "visual encoder": recognizer.visual.model}
    for system in systems:
        for role, folder in fetch_encoders(system, recognizer, local_files_only=local_files_only).items():
            yield role, names[role], folder
