"""A device without memory for more than a few posts at once, where there is no GPU to fill: simulated by a hook that
raises what torch raises, in the middle of a real forward pass."""

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["hold_at_most"]


def hold_at_most(most: int, module: torch.nn.Module, size: Callable[[Any], int] = len) -> list[int]:
    """Let `module` run out of memory above `most` items, counted by `size` in its first argument.

    The sizes that it was asked for, failed ones included.
    """
    asked: list[int] = []

    def look(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        count = size(args[0] if args else next(iter(kwargs.values())))
        asked.append(count)
        if count > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    module.register_forward_pre_hook(look, with_kwargs=True)
    return asked
