"""How the generator learns latent images."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import torch
from torch import nn

from amia.demo.training.latents import LatentPosts, channel_weights
from amia.demo.training.modules import Drawer
from amia.demo.world import Post

# MERGED FROM amia.demo.training.train_loop: One step of gradient descent, the same for every model of the demo.
# MERGED FROM amia.demo.training.train_loop: The exponential moving average of weights over training steps: what is saved, while training goes on without it.
# MERGED FROM amia.demo.training.train_loop: Weights on disk: half precision, readable by everyone.
BATCH = 32
_SNAPSHOT_EVERY = 600
_WARMUP = 200


@dataclass(frozen=True)
class Course:
    """What is learned in what steps: highest learning rates, and `wording`, which words a post anew at each sight."""

    name: str
    steps: int
    unet_rate: float
    text_rate: float
    wording: Callable[[Post], Post]


def learn(drawer: Drawer, vae: Any, cache: LatentPosts, course: Course) -> Iterator[int]:
    """Train `drawer` in place; every 600 steps and at the end it holds its average weights and the step is yielded."""
    weights = channel_weights(vae, cache.latents)
    warmup = min(_WARMUP, course.steps // 4) / course.steps
    groups = (drawer.unet, course.unet_rate), (drawer.text_encoder, course.text_rate)
    descent = Descent(*groups, steps=course.steps, warmup=warmup, weight_decay=1e-3)
    average = MovingAverage([drawer.unet, drawer.text_encoder])
    start, running = monotonic(), 0.0
    drawer.unet.train()
    drawer.text_encoder.train()
    for step in range(1, course.steps + 1):
        rows = torch.randint(len(cache.posts), (BATCH,))
        texts = [course.wording(cache.posts[row]).text for row in rows.tolist()]
        difference = drawer.predict(texts, cache.choices[rows]) - cache.latents[rows]
        loss = (weights * (difference.square() + 0.5 * difference.abs())).mean()
        descent.step(loss)
        average.update()
        running += loss.item() / 100
        if step % 100 == 0:
            print(
                f"{course.name}: step {step}/{course.steps}, loss {running:.4f}, {monotonic() - start:.0f} s",
                flush=True,
            )
            running = 0.0
        if step % _SNAPSHOT_EVERY == 0 or step == course.steps:
            with average.applied():
                yield step


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
