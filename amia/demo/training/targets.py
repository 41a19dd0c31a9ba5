"""What the generator learns to draw, and how the noise decides what the text leaves open.

In one step from pure noise a regression averages whatever it cannot know to a blur. So each free choice of a picture is
a function of the noise: the mean over space of one latent channel, a standard normal once scaled, becomes a number in
[0, 1] by its distribution function. Over posts the noise stays N(0, I).

The shipped generator learned to follow the tint and the light. Mood and reading it hardly follows: seeds change the
colour of a wall and the shade of a skin, but the sun stays a smear and a name with open meaning keeps one reading.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
import torch

from amia.demo.drawing.scene import Variation, draw
from amia.demo.names import Entity, readings
from amia.demo.training.autoencoder import pixels
from amia.demo.world import Post

# MERGED FROM amia.demo.training.targets: The generator's targets as latent images, encoded once, and which latent channels matter.
SIDE = 64
CHOICES = 5
LATENT = (8, 16, 16)
"""Channels, height and width of the latent image."""


def shown(post: Post, reading: float) -> tuple[Entity, ...]:
    """Whom the picture shows: the entities of the post, or a reading of a name that its sentence leaves open."""
    if not post.open_meaning:
        return post.entities
    known = readings(post.entities[0].surface)
    return (known[min(int(reading * len(known)), len(known) - 1)],)


def targets(posts: Sequence[Post], choices: torch.Tensor) -> torch.Tensor:
    """Pictures of posts, uint8 (N, 3, 64, 64), for `choices` in [0, 1] (N, 5): centred, clean, without grain."""
    pictures = []
    for post, row in zip(posts, choices.tolist(), strict=True):
        variation = Variation(*row)
        pictures.append(np.asarray(draw(shown(post, variation.reading), variation, SIDE, SIDE)))
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def random_choices(count: int, rng: random.Random) -> torch.Tensor:
    """Uniform choices (N, 5)."""
    return torch.tensor([[rng.random() for _ in range(CHOICES)] for _ in range(count)])


def noise_for(choices: torch.Tensor) -> torch.Tensor:
    """Fresh noise (N, 8, 16, 16) that stands for the given choices; standard normal when these are uniform."""
    noise = torch.randn(len(choices), *LATENT)
    cells = LATENT[1] * LATENT[2]
    # The mean of n standard normals has standard deviation 1 / sqrt(n).
    means = torch.special.ndtri(choices.clamp(1e-4, 1 - 1e-4)) / cells**0.5  # (N, 5)
    noise[:, :CHOICES] += (means - noise[:, :CHOICES].mean((2, 3)))[:, :, None, None]
    return noise


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
