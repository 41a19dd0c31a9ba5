"""Every model that a configuration names, into this machine's cache: for workers that have no internet.

Jobs fetch what they need by themselves where there is internet. Elsewhere one machine that has both fills a cache that
the workers read: the same `HF_HOME`, on a disk that all of them see.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from amia.hub import weights_identity
from amia.matching.clip import ClipEncoder
from amia.mner.builder import fetch_encoders
from amia.mner.systems import get_system
from amia.synthesis.generator import Generator
from ray_jobs.settings.job import Settings

__all__ = ["DownloadResult", "download_models"]


@dataclass(frozen=True, slots=True)
class DownloadResult:
    """A model whose files are on this machine."""

    role: str
    """`encoder`, `generator`, `text encoder`, `visual encoder`."""
    identity: str
    """`name@commit`, or the digest of a folder of one's own; a run's manifest names it in the same way."""
    folder: Path


def download_models(settings: Settings, systems: Sequence[str] = ()) -> list[DownloadResult]:
    """Fetch encoder and generator, and the encoders that each of `systems` starts from.

    Each is looked up again without the hub, as actors do. Raises ModelError when one cannot be had, and
    SettingsError for an unknown system.
    """
    for system in systems:
        get_system(system)  # before gigabytes are fetched
    for _ in _folders(settings, systems, local_files_only=False):
        pass
    found = {
        role: DownloadResult(role, weights_identity(model, folder), folder)
        for role, model, folder in _folders(settings, systems, local_files_only=True)
    }
    return list(found.values())  # two systems may start from one encoder


def _folders(settings: Settings, systems: Sequence[str], *, local_files_only: bool) -> Iterator[tuple[str, str, Path]]:
    clip, generator, recognizer = settings.clip, settings.generator, settings.recognizer
    yield "encoder", clip.model, ClipEncoder.fetch(clip, local_files_only=local_files_only)
    yield "generator", generator.model, Generator.fetch(generator, local_files_only=local_files_only)
    names = {"text encoder": recognizer.text.model, "visual encoder": recognizer.visual.model}
    for system in systems:
        for role, folder in fetch_encoders(system, recognizer, local_files_only=local_files_only).items():
            yield role, names[role], folder
