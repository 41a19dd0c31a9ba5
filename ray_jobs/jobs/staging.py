"""The files that `amia submit` uploads: the code of amia, the presets of `cluster/`, and the command's settings file.

They are listed by an allow-list of folders and suffixes, so that credentials, corpora, runs and models that lie in the
same folder stay at home.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import ray_jobs
from amia.errors import SettingsError

__all__ = ["ROOT", "StagedFile", "copy_files", "list_files"]

ROOT = Path(ray_jobs.__file__).parents[1]
"""Folder that contains both packages: the root of the repository, or `site-packages`."""
FOLDERS = {
    "amia": {".css", ".j2", ".js", ".json", ".py", ".safetensors", ".txt", ".typed", ".yaml"},
    "ray_jobs": {".py", ".typed", ".yaml"},
    "cluster/presets": {".yaml"},
}
"""Folders below the root that are uploaded, with the suffixes of the files that they hold."""


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file that is uploaded."""

    name: str
    """Path in the working directory of the job."""
    source: Path
    bytes: int


def list_files(config: str | None = None, *, root: Path = ROOT) -> list[StagedFile]:
    """Return the files that a job needs, in the order of their names.

    `config`: value of the command's `--config`. A relative path to a YAML file is uploaded under the same name; an
    absolute path is read on the cluster. Raises SettingsError if the file is missing or outside the current folder.
    """
    files = {file.name: file for folder, suffixes in FOLDERS.items() for file in _walk(root, folder, suffixes)}
    if config is not None and _is_local_file(config):
        files[config] = StagedFile(config, Path(config), Path(config).stat().st_size)
    return [files[name] for name in sorted(files)]


def copy_files(files: Sequence[StagedFile], folder: Path) -> None:
    """Copy files into the working directory of a job."""
    for file in files:
        target = folder / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.source, target)


def _walk(root: Path, folder: str, suffixes: set[str]) -> Iterator[StagedFile]:
    """Yield the regular files below a folder that have one of the suffixes. Hidden files and links are left out."""
    for path in (root / folder).rglob("*"):
        name = path.relative_to(root)
        is_hidden = any(part.startswith(".") for part in name.parts)
        if path.suffix in suffixes and not is_hidden and path.is_file() and not path.is_symlink():
            yield StagedFile(name.as_posix(), path, path.stat().st_size)


def _is_local_file(config: str) -> bool:
    """Return whether a config is a settings file to upload. Presets and absolute paths are not."""
    path = PurePath(config)
    if path.suffix not in {".yaml", ".yml"} or path.is_absolute():
        return False
    if ".." in path.parts:
        raise SettingsError(f"{config} is outside the current folder: copy it into the folder, and give its path there")
    if not Path(config).is_file():
        raise SettingsError(f"no settings file {config}: check the path")
    return True
