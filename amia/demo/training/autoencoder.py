"""Train the autoencoder of the generator: 1,500 steps of 12 images, seven to fifteen minutes."""

import random
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from amia.demo.training.modules import new_autoencoder
from amia.demo.training.targets import render_targets, sample_choices, to_signed
from amia.demo.training.train_loop import ScheduledOptimizer
from amia.demo.world import draw_posts

STEPS = 1500
BATCH = 12
_LATENT_NOISE = 0.05


def train_autoencoder(folder: Path, seed: int, steps: int = STEPS) -> None:
    """Train an autoencoder on the generator's targets and save it in float32."""
    torch.manual_seed(seed)
    model = new_autoencoder()
    _fit(model, seed, steps)
    model.register_to_config(scaling_factor=1 / _latent_std(model, seed))
    model.save_pretrained(folder)


def _fit(model: Any, seed: int, steps: int) -> None:
    posts = draw_posts(steps * BATCH, seed, "pretraining")
    rng = random.Random(seed)
    optimizer = ScheduledOptimizer((model, 2.5e-3), steps=steps, warmup=0.05, weight_decay=1e-4)
    start = monotonic()
    for step in range(1, steps + 1):
        batch = to_signed(render_targets(posts[(step - 1) * BATCH : step * BATCH], sample_choices(BATCH, rng)))
        latents = model.encode(batch).latent_dist
        difference = model.decode(latents.mean + _LATENT_NOISE * torch.randn_like(latents.mean)).sample - batch
        # Weak penalties keep the latents near unit scale without making images less sharp.
        loss = difference.abs().mean() + difference.square().mean()
        loss = loss + 1e-4 * latents.mean.square().mean() + 1e-5 * latents.logvar.square().mean()
        optimizer.step(loss)
        if step % 100 == 0:
            psnr = 10 * torch.log10(4 / difference.square().mean()).item()
            print(f"autoencoder: step {step}/{steps}, {psnr:.1f} dB, {monotonic() - start:.0f} s", flush=True)


@torch.no_grad()
def _latent_std(model: Any, seed: int) -> float:
    """Return the standard deviation of the latents."""
    sample = to_signed(render_targets(draw_posts(128, seed, "pretraining"), sample_choices(128, random.Random(seed))))
    return float(model.encode(sample).latent_dist.mean.std())
