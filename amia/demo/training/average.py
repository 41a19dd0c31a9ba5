"""The exponential moving average of weights over training steps: what is saved, while training goes on without it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn


class MovingAverage:
    """Averages the parameters of `modules`; `decay` is the share that the average keeps at each update."""

    def __init__(self, modules: Sequence[nn.Module], decay: float = 0.998) -> None:
        self._parameters = [parameter for module in modules for parameter in module.parameters()]
        self._averages = [parameter.detach().clone() for parameter in self._parameters]
        self._decay = decay
        self._updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take in the current weights; the first ones with a shorter memory, so that the start is forgotten."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        for average, parameter in zip(self._averages, self._parameters, strict=True):
            average.lerp_(parameter, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averages in the place of the weights for a while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for average, parameter in zip(self._averages, self._parameters, strict=True):
            kept = parameter.clone()
            parameter.copy_(average)
            average.copy_(kept)
