"""The workers that train one model together. Alone, every operation here is the identity."""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["DistContext"]


class DistContext:
    """This process among all: `torch.distributed` where it is initialized, else a world of one."""

    def __init__(self, device: torch.device) -> None:
        self._several = dist.is_available() and dist.is_initialized()
        self._device = device
        self.rank = dist.get_rank() if self._several else 0
        self.size = dist.get_world_size() if self._several else 1

    def sums(self, *values: float) -> list[float]:
        """Each value added up over the workers."""
        if not self._several:
            return list(values)
        told = torch.tensor(values, dtype=torch.float64 if self._device.type == "cpu" else torch.float32)
        told = told.to(self._device)
        dist.all_reduce(told)
        return [float(each) for each in told]

    def add_up_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Each weight's gradient added up over the workers; one without a gradient here counts as zero."""
        if not self._several:
            return
        waiting = []
        for each in parameters:
            if each.grad is None:
                each.grad = torch.zeros_like(each)
            waiting.append(dist.all_reduce(each.grad, async_op=True))
        for one in waiting:
            one.wait()

    def gathered(self, tensor: Tensor) -> list[Tensor]:
        """The same tensor of every worker, in the order of ranks; equal shapes."""
        if not self._several:
            return [tensor]
        mine = tensor.to(self._device)
        every = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(every, mine)
        return [each.cpu() for each in every]

    def share_weights(self, model: torch.nn.Module) -> None:
        """Give every worker the first one's weights."""
        if self._several:
            for each in [*model.parameters(), *model.buffers()]:
                dist.broadcast(each.data, 0)
