"""What a foreign model's folder may not ask for: code of its own, files elsewhere, and sizes that no model has.

The libraries look at a folder's configuration before its weights. They import the classes it names, follow the paths
it lists, and build as many layers as it says, before they see that the weights are not there.
"""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from amia.errors import ModelError

__all__ = ["check_model_folder"]

MAX_LAYERS = 1_000
"""Of any one kind that a configuration counts."""
MAX_CONFIG_BYTES = 16 << 20
"""Bytes of a configuration; a vocabulary is none."""
_COUNTED = ("layers", "depth", "blocks", "stages")
_PIPELINE = "model_index.json"
_LIBRARIES = {"diffusers", "transformers"}


def check_model_folder(role: str, folder: Path) -> None:
    """Raises ModelError, in the name of `role`, for what stands in the configuration of a folder or right below it.

    A file that cannot be read as JSON passes: the libraries will say so.
    """
    for pattern in ("*config.json", "*/*config.json", "*.safetensors.index.json", "*/*.safetensors.index.json"):
        for file in sorted(folder.glob(pattern)):
            config = _json(file)
            for place in _places(config):
                if len(PurePosixPath(place).parts) != 1 or place == "..":
                    raise ModelError(f"{role}: {file} names weights that lie elsewhere: {place[:100]!r}")
            for name, count in _counts(config):
                if count > MAX_LAYERS:
                    raise ModelError(f"{role}: {file} asks for {name} = {count}, which no model has")
    if (folder / _PIPELINE).is_file():
        _check_pipeline(role, folder / _PIPELINE)


def _check_pipeline(role: str, file: Path) -> None:
    """Of a pipeline, all parts are classes of the libraries themselves."""
    index = _json(file)
    if not isinstance(index, dict) or not isinstance(index.get("_class_name"), str):
        raise ModelError(f"{role}: {file} names no pipeline of diffusers (_class_name); amia runs no other code")
    for part, named in index.items():
        if not isinstance(named, list) or not named or named[0] is None:
            continue
        if not isinstance(named[0], str) or (named[0] not in _LIBRARIES and not _is_pipeline(named[0])):
            raise ModelError(f"{role}: {file} takes {part} from {named[0]!r}; amia runs no code but diffusers' own")


def _is_pipeline(name: str) -> bool:
    """Whether diffusers has a module of pipelines so called, from which safety checkers are taken."""
    from diffusers import pipelines

    return name.isidentifier() and (Path(pipelines.__path__[0]) / name / "__init__.py").is_file()


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes()) if file.stat().st_size <= MAX_CONFIG_BYTES else None
    except (OSError, ValueError, RecursionError):
        return None


def _places(config: Any) -> Iterator[str]:
    """The files that an index of weights in several files names."""
    files = config.get("weight_map") if isinstance(config, dict) else None
    for place in files.values() if isinstance(files, dict) else ():
        yield str(place)


def _counts(config: Any) -> Iterator[tuple[str, float]]:
    """Whatever a configuration counts of layers, blocks and stages, with its name."""
    left: list[tuple[str, Any]] = [("", config)]
    while left:
        name, value = left.pop()
        if isinstance(value, dict):
            left += value.items()
        elif isinstance(value, list):
            left += [(name, each) for each in value]
        elif isinstance(value, int | float) and any(word in name for word in _COUNTED):
            yield name, value
