"""What makes a model faster on a GPU. It moves the last bits, so the CPU, whose bytes are promised, goes without."""

from dataclasses import dataclass
from typing import Self

import torch

from amia.precision import Compile

__all__ = ["Tuning"]


@dataclass(frozen=True, slots=True)
class Tuning:
    """Each can be had on any device; `of` says which are."""

    compiled: bool = False
    """`torch.compile`, one graph: a batch that is short is filled up."""
    channels_last: bool = False
    """Channels innermost in memory, as a GPU's convolutions want them."""
    distinct: bool = False
    """Equal texts of one call are encoded once, whatever batch they are in."""

    @classmethod
    def of(cls, device: torch.device, compiled: Compile) -> Self:
        """All of it on a GPU and none on the CPU; compiled as asked."""
        gpu = device.type == "cuda"
        return cls(compiled=gpu if compiled == "auto" else compiled, channels_last=gpu, distinct=gpu)

    def laid_out(self, *modules: torch.nn.Module) -> None:
        """Lay out the weights of convolutions; the pixels between them follow."""
        if self.channels_last:
            for module in modules:
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch lacks this one
