"""How the generator learns latent images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

import torch

from amia.demo.training.average import MovingAverage
from amia.demo.training.descent import Descent
from amia.demo.training.drawer import Drawer
from amia.demo.training.latents import LatentPosts, channel_weights
from amia.demo.world import Post

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
