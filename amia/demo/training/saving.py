"""Weights on disk: half precision, readable by everyone."""

import copy
from pathlib import Path
from typing import Any

from torch import nn


def halved(module: nn.Module) -> Any:
    """A copy of `module` with its weights in half precision."""
    copied = copy.deepcopy(module)
    for parameter in copied.parameters():
        parameter.data = parameter.data.half()
    return copied


def make_readable(folder: Path) -> None:
    """Mode 0644 for every file below `folder`: safetensors writes 0600, which a package must not carry."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
