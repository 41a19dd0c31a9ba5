"""Simulated lack of device memory without a GPU: a hook raises torch's error in the middle of a real forward pass."""

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["limit_batch_size"]


def limit_batch_size(limit: int, module: torch.nn.Module, size: Callable[[Any], int] = len) -> list[int]:
    """Make `module` run out of memory above `limit` items, counted by `size` in its first argument.

    Returns a list that records the size of every call, including failed ones.
    """
    sizes: list[int] = []

    def check_size(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        count = size(args[0] if args else next(iter(kwargs.values())))
        sizes.append(count)
        if count > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    module.register_forward_pre_hook(check_size, with_kwargs=True)
    return sizes
