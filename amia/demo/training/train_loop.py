"""Training loop of the generator on latent images, and the optimizer that all models of the demo use."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import torch
from torch import nn

from amia.demo.training.modules import OneStepGenerator
from amia.demo.training.targets import LatentDataset, channel_weights
from amia.demo.world import DemoPost

BATCH = 32
_SNAPSHOT_EVERY = 600
_WARMUP = 200


@dataclass(frozen=True)
class TrainingPhase:
    """Name, steps and maximum learning rates of a phase. `wording` rewords a post each time that it is used."""

    name: str
    steps: int
    unet_rate: float
    text_rate: float
    wording: Callable[[DemoPost], DemoPost]


def train_latents(generator: OneStepGenerator, vae: Any, dataset: LatentDataset, phase: TrainingPhase) -> Iterator[int]:
    """Train `generator` in place.

    Yield the step every 600 steps and at the end. While it is yielded, `generator` has its averaged weights.
    """
    weights = channel_weights(vae, dataset.latents)
    warmup = min(_WARMUP, phase.steps // 4) / phase.steps
    groups = (generator.unet, phase.unet_rate), (generator.text_encoder, phase.text_rate)
    optimizer = ScheduledOptimizer(*groups, steps=phase.steps, warmup=warmup, weight_decay=1e-3)
    average = MovingAverage([generator.unet, generator.text_encoder])
    start, running = monotonic(), 0.0
    generator.unet.train()
    generator.text_encoder.train()
    for step in range(1, phase.steps + 1):
        rows = torch.randint(len(dataset.posts), (BATCH,))
        texts = [phase.wording(dataset.posts[row]).text for row in rows.tolist()]
        difference = generator.predict(texts, dataset.choices[rows]) - dataset.latents[rows]
        loss = (weights * (difference.square() + 0.5 * difference.abs())).mean()
        optimizer.step(loss)
        average.update()
        running += loss.item() / 100
        if step % 100 == 0:
            elapsed = monotonic() - start
            print(f"{phase.name}: step {step}/{phase.steps}, loss {running:.4f}, {elapsed:.0f} s", flush=True)
            running = 0.0
        if step % _SNAPSHOT_EVERY == 0 or step == phase.steps:
            with average.applied():
                yield step


class ScheduledOptimizer:
    """AdamW with a one-cycle schedule over `steps` steps and gradient clipping at norm 1.

    `groups` are pairs of a module and its maximum learning rate. `warmup` is the share of steps until it is reached.
    """

    def __init__(self, *groups: tuple[nn.Module, float], steps: int, warmup: float, weight_decay: float) -> None:
        self._parameters = [parameter for module, _ in groups for parameter in module.parameters()]
        rates = [rate for _, rate in groups]
        parameter_groups: list[dict[str, Any]] = [
            {"params": list(module.parameters()), "lr": rate} for module, rate in groups
        ]
        self._optimizer = torch.optim.AdamW(parameter_groups, weight_decay=weight_decay)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, rates, total_steps=steps, pct_start=warmup
        )

    def step(self, loss: torch.Tensor) -> None:
        """Backpropagate `loss` and update the parameters."""
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self._schedule.step()


class MovingAverage:
    """Exponential moving average of the parameters of `modules`. `decay` is the share that an update keeps."""

    def __init__(self, modules: Sequence[nn.Module], decay: float = 0.998) -> None:
        self._parameters = [parameter for module in modules for parameter in module.parameters()]
        self._averages = [parameter.detach().clone() for parameter in self._parameters]
        self._decay = decay
        self._updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Add the current weights. The first updates decay faster, so that the initial weights are forgotten."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        for average, parameter in zip(self._averages, self._parameters, strict=True):
            average.lerp_(parameter, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Replace the weights by their averages within the context."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for average, parameter in zip(self._averages, self._parameters, strict=True):
            weights = parameter.clone()
            parameter.copy_(average)
            average.copy_(weights)
