"""Checks of a model folder from an untrusted source: no custom code, no files elsewhere, no absurd sizes.

The libraries read the configuration of a folder before its weights. They import the classes it names, follow the paths
it lists, and build as many layers as it requests, before they notice that the weights are missing.
"""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from amia.errors import ModelError

__all__ = ["check_model_folder"]

MAX_LAYERS = 1_000
"""Upper limit of any count of layers, blocks or stages in a configuration."""
MAX_CONFIG_BYTES = 16 << 20
"""Larger files are not read as configurations."""
_COUNT_WORDS = ("layers", "depth", "blocks", "stages")
_PIPELINE_INDEX = "model_index.json"
_ALLOWED_LIBRARIES = {"diffusers", "transformers"}


def check_model_folder(role: str, folder: Path) -> None:
    """Check the configurations in a folder and in its direct subfolders.

    `role` names the model in messages. Raises ModelError for weights outside the folder, for a layer count above
    `MAX_LAYERS`, and for a pipeline with custom code. A file that is not valid JSON passes, since the libraries reject
    it.
    """
    for pattern in ("*config.json", "*/*config.json", "*.safetensors.index.json", "*/*.safetensors.index.json"):
        for file in sorted(folder.glob(pattern)):
            config = _read_json(file)
            for path in _weight_files(config):
                if len(PurePosixPath(path).parts) != 1 or path == "..":
                    raise ModelError(f"{role}: {file} names weights outside its folder: {path[:100]!r}")
            for name, count in _counts(config):
                if count > MAX_LAYERS:
                    raise ModelError(f"{role}: {file} requests {name} = {count}; at most {MAX_LAYERS} are allowed")
    if (folder / _PIPELINE_INDEX).is_file():
        _check_pipeline(role, folder / _PIPELINE_INDEX)


def _check_pipeline(role: str, file: Path) -> None:
    """Check that all components of a pipeline are classes of the libraries."""
    index = _read_json(file)
    if not isinstance(index, dict) or not isinstance(index.get("_class_name"), str):
        raise ModelError(f"{role}: {file} names no pipeline of diffusers (_class_name); amia runs no custom code")
    for component, origin in index.items():
        if not isinstance(origin, list) or not origin or origin[0] is None:
            continue
        library = origin[0]
        if not isinstance(library, str) or (library not in _ALLOWED_LIBRARIES and not _is_pipeline(library)):
            raise ModelError(
                f"{role}: {file} loads {component} from {library!r}; amia runs only code of diffusers and transformers"
            )


def _is_pipeline(name: str) -> bool:
    """Check whether diffusers has a pipeline module of this name; safety checkers come from such modules."""
    from diffusers import pipelines

    return name.isidentifier() and (Path(pipelines.__path__[0]) / name / "__init__.py").is_file()


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes()) if file.stat().st_size <= MAX_CONFIG_BYTES else None
    except (OSError, ValueError, RecursionError):
        return None


def _weight_files(config: Any) -> Iterator[str]:
    """Yield the files that an index of sharded weights names."""
    files = config.get("weight_map") if isinstance(config, dict) else None
    for file in files.values() if isinstance(files, dict) else ():
        yield str(file)


def _counts(config: Any) -> Iterator[tuple[str, float]]:
    """Yield every count of layers, blocks and stages in a configuration, with its name."""
    stack: list[tuple[str, Any]] = [("", config)]
    while stack:
        name, value = stack.pop()
        if isinstance(value, dict):
            stack += value.items()
        elif isinstance(value, list):
            stack += [(name, item) for item in value]
        elif isinstance(value, int | float) and any(word in name for word in _COUNT_WORDS):
            yield name, value
