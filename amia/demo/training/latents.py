"""."""

import random
from dataclasses import dataclass
from time import monotonic
from typing import Any

import torch

from amia.demo.training.dataset import pixels
from amia.demo.training.targets import LATENT, random_choices, targets
from amia.demo.world import Post

__all__ = []


@dataclass(frozen=True)
class LatentPosts:
    """Posts, the choices of their images (N, 5), and their latent images (N, 8, 16, 16) at unit scale."""

    posts: list[Post]
    choices: torch.Tensor
    latents: torch.Tensor


@torch.no_grad()
def encode_posts(vae: Any, posts: list[Post], seed: int) -> LatentPosts:
    """Draw and encode `posts`; the seed makes the free choices of their images."""
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
