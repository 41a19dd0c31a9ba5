"""Training of the generator's autoencoder: 1,500 steps of 12 pictures, seven to fifteen minutes."""

import random
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from amia.demo.training.modules import new_autoencoder
from amia.demo.training.targets import LATENT, random_choices, targets
from amia.demo.training.train_loop import Descent
from amia.demo.world import Post, pretraining_posts

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


def pixels(pictures: torch.Tensor) -> torch.Tensor:
    """uint8 pictures as the autoencoder reads them, in [-1, 1]."""
    return pictures.float() / 127.5 - 1


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


@dataclass(frozen=True)
class LatentPosts:
    """Posts, the choices of their pictures (N, 5), and their latent images (N, 8, 16, 16) at unit scale."""

    posts: list[Post]
    choices: torch.Tensor
    latents: torch.Tensor


@torch.no_grad()
def encode_posts(vae: Any, posts: list[Post], seed: int) -> LatentPosts:
    """Draw and encode `posts`; the seed makes the free choices of their pictures."""
    start = monotonic()
    choices = random_choices(len(posts), random.Random(f"choices {seed}"))
    latents = []
    for first in range(0, len(posts), 64):
        pictures = targets(posts[first : first + 64], choices[first : first + 64])
        latents.append(vae.encode(pixels(pictures)).latent_dist.mean * vae.config.scaling_factor)
    print(f"generator: {len(posts)} latent images in {monotonic() - start:.0f} s", flush=True)
    return LatentPosts(posts, choices, torch.cat(latents))


@torch.no_grad()
def channel_weights(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """How much an error in each latent channel matters in pixels, with mean 1 (1, 8, 1, 1)."""
    sample = latents[:32]
    plain = vae.decode(sample / vae.config.scaling_factor).sample
    weights = []
    for channel in range(LATENT[0]):
        moved = sample.clone()
        moved[:, channel] += 0.3 * torch.randn_like(moved[:, channel])
        weights.append((vae.decode(moved / vae.config.scaling_factor).sample - plain).square().mean())
    stacked = torch.stack(weights)
    return (stacked / stacked.mean()).view(1, -1, 1, 1)
