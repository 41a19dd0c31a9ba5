"""Communication between the workers that train one model together. With one worker every operation is the identity."""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["DistContext"]


class DistContext:
    """Rank and collective operations of this process: `torch.distributed` if it is initialized, else a world of one."""

    def __init__(self, device: torch.device) -> None:
        self._is_distributed = dist.is_available() and dist.is_initialized()
        self._device = device
        self.rank = dist.get_rank() if self._is_distributed else 0
        self.world_size = dist.get_world_size() if self._is_distributed else 1

    def all_reduce(self, *values: float) -> list[float]:
        """Sum each value over the workers."""
        if not self._is_distributed:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64 if self._device.type == "cpu" else torch.float32)
        sums = sums.to(self._device)
        dist.all_reduce(sums)
        return [float(value) for value in sums]

    def all_reduce_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Sum the gradient of each parameter over the workers; a missing gradient counts as zero."""
        if not self._is_distributed:
            return
        pending = []
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            pending.append(dist.all_reduce(parameter.grad, async_op=True))
        for work in pending:
            work.wait()

    def all_gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensor of every worker, in the order of ranks; all must have the same shape."""
        if not self._is_distributed:
            return [tensor]
        local = tensor.to(self._device)
        tensors = [torch.empty_like(local) for _ in range(self.world_size)]
        dist.all_gather(tensors, local)
        return [gathered.cpu() for gathered in tensors]

    def broadcast(self, model: torch.nn.Module) -> None:
        """Copy the parameters and buffers of rank 0 to every worker."""
        if self._is_distributed:
            for tensor in [*model.parameters(), *model.buffers()]:
                dist.broadcast(tensor.data, 0)
