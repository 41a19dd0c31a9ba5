"""Training of the generator's autoencoder: 1,500 steps of 12 images, seven to fifteen minutes."""

import random
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from amia.demo.training.dataset import pixels
from amia.demo.training.modules import new_autoencoder
from amia.demo.training.targets import random_choices, targets
from amia.demo.training.train_loop import Descent
from amia.demo.world import pretraining_posts

STEPS = 1500
BATCH = 12
_LATENT_NOISE = 0.05


def train_autoencoder(folder: Path, seed: int, steps: int = STEPS) -> None:
    """Train an autoencoder on the generator's targets and save it in fp32."""
    torch.manual_seed(seed)
    model = new_autoencoder()
    _fit(model, seed, steps)
    model.register_to_config(scaling_factor=1 / _spread(model, seed))
    model.save_pretrained(folder)


def _fit(model: Any, seed: int, steps: int) -> None:
    posts = pretraining_posts(steps * BATCH, seed)
    rng = random.Random(seed)
    descent = Descent((model, 2.5e-3), steps=steps, warmup=0.05, weight_decay=1e-4)
    start = monotonic()
    for step in range(1, steps + 1):
        batch = pixels(targets(posts[(step - 1) * BATCH : step * BATCH], random_choices(BATCH, rng)))
        code = model.encode(batch).latent_dist
        difference = model.decode(code.mean + _LATENT_NOISE * torch.randn_like(code.mean)).sample - batch
        # Weak penalties hold the latents near unit scale without costing sharpness.
        loss = difference.abs().mean() + difference.square().mean()
        loss = loss + 1e-4 * code.mean.square().mean() + 1e-5 * code.logvar.square().mean()
        descent.step(loss)
        if step % 100 == 0:
            decibel = 10 * torch.log10(4 / difference.square().mean()).item()
            print(f"autoencoder: step {step}/{steps}, {decibel:.1f} dB, {monotonic() - start:.0f} s", flush=True)


@torch.no_grad()
def _spread(model: Any, seed: int) -> float:
    """The standard deviation of the latents."""
    sample = pixels(targets(pretraining_posts(128, seed), random_choices(128, random.Random(seed))))
    return float(model.encode(sample).latent_dist.mean.std())
