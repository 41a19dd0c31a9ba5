"""One step of gradient descent, the same for every model of the demo."""

from typing import Any

import torch
from torch import nn


class Descent:
    """AdamW with a one-cycle schedule over `steps` steps and gradients of norm 1 at most.

    `groups` are pairs of a module and its highest learning rate; `warmup` is the share of steps until it is reached.
    """

    def __init__(self, *groups: tuple[nn.Module, float], steps: int, warmup: float, weight_decay: float) -> None:
        self._parameters = [parameter for module, _ in groups for parameter in module.parameters()]
        rates = [rate for _, rate in groups]
        each: list[dict[str, Any]] = [{"params": list(module.parameters()), "lr": rate} for module, rate in groups]
        self._optimizer = torch.optim.AdamW(each, weight_decay=weight_decay)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, rates, total_steps=steps, pct_start=warmup
        )

    def step(self, loss: torch.Tensor) -> None:
        """Go downhill once."""
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self._schedule.step()
