"""Training targets of the generator as pixels and latent images, and the noise that controls their free choices.

In one step from pure noise a regression blurs everything that it cannot predict. So each free choice of an image is a
function of the noise: the spatial mean of one latent channel, which is standard normal once scaled, becomes a number
in [0, 1] by its distribution function. Over all posts the noise remains N(0, I).

The shipped generator learned to follow the tint and the light. It hardly follows mood and reading: seeds change the
color of a wall and the shade of a skin, but the sun stays blurred and an ambiguous name keeps one reading.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
import torch

from amia.demo.drawing.appearance import Variation
from amia.demo.drawing.scene import draw_scene
from amia.demo.names import NamedEntity, readings
from amia.demo.world import DemoPost

SIDE = 64
CHOICES = 5
LATENT = (8, 16, 16)
"""Channels, height and width of the latent image."""


@dataclass(frozen=True)
class LatentDataset:
    """Posts, the choices of their images (N, 5), and their latent images (N, 8, 16, 16) at unit scale."""

    posts: list[DemoPost]
    choices: torch.Tensor
    latents: torch.Tensor


@torch.no_grad()
def encode_posts(vae: Any, posts: list[DemoPost], seed: int) -> LatentDataset:
    """Draw and encode `posts`. The seed determines the free choices of their images."""
    start = monotonic()
    choices = sample_choices(len(posts), random.Random(f"choices {seed}"))
    latents = []
    for first in range(0, len(posts), 64):
        images = render_targets(posts[first : first + 64], choices[first : first + 64])
        latents.append(vae.encode(to_signed(images)).latent_dist.mean * vae.config.scaling_factor)
    print(f"generator: {len(posts)} latent images in {monotonic() - start:.0f} s", flush=True)
    return LatentDataset(posts, choices, torch.cat(latents))


@torch.no_grad()
def channel_weights(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Return the effect on pixels of an error in each latent channel, with mean 1 (1, 8, 1, 1)."""
    sample = latents[:32]
    decoded = vae.decode(sample / vae.config.scaling_factor).sample
    weights = []
    for channel in range(LATENT[0]):
        perturbed = sample.clone()
        perturbed[:, channel] += 0.3 * torch.randn_like(perturbed[:, channel])
        weights.append((vae.decode(perturbed / vae.config.scaling_factor).sample - decoded).square().mean())
    stacked = torch.stack(weights)
    return (stacked / stacked.mean()).view(1, -1, 1, 1)


def render_targets(posts: Sequence[DemoPost], choices: torch.Tensor) -> torch.Tensor:
    """Draw images of posts, uint8 (N, 3, 64, 64), for `choices` in [0, 1] (N, 5): centered and without grain."""
    return render_with_figures(posts, choices)[0]


def render_with_figures(posts: Sequence[DemoPost], choices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `render_targets` does, and a mask of the boxes of all figures, 0 or 1, (N, 1, 64, 64)."""
    images, figures = [], torch.zeros(len(posts), 1, SIDE, SIDE)
    for index, (post, row) in enumerate(zip(posts, choices.tolist(), strict=True)):
        variation = Variation(*row)
        entities = depicted_entities(post, variation.reading)
        drawing = draw_scene(entities, variation, SIDE, SIDE)
        images.append(np.asarray(drawing.image))
        for entity, (left, top, right, bottom) in zip(entities, drawing.boxes, strict=True):
            if entity.kind != "LOC":
                figures[index, 0, top:bottom, left:right] = 1
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2), figures


def depicted_entities(post: DemoPost, reading: float) -> tuple[NamedEntity, ...]:
    """Return the entities in the image: the first one of each type.

    The number of entities of one type is hard to read from a sentence, and a model that guesses it draws ghosts.
    An ambiguous name in a neutral sentence has one of its readings, which `reading` in [0, 1] selects.
    """
    entities = post.entities
    if post.is_ambiguous:
        choices = map(readings, post.entities)
        entities = tuple(options[min(int(reading * len(options)), len(options) - 1)] for options in choices)
    first_of_type = {entity.kind: entity for entity in reversed(entities)}
    return tuple(first_of_type.values())[::-1]


def sample_choices(count: int, rng: random.Random) -> torch.Tensor:
    """Return uniform choices (N, 5)."""
    return torch.tensor([[rng.random() for _ in range(CHOICES)] for _ in range(count)])


def noise_for_choices(choices: torch.Tensor) -> torch.Tensor:
    """Sample noise (N, 8, 16, 16) that encodes the given choices. It is standard normal if these are uniform."""
    noise = torch.randn(len(choices), *LATENT)
    cells = LATENT[1] * LATENT[2]
    # The mean of n standard normals has standard deviation 1 / sqrt(n).
    means = torch.special.ndtri(choices.clamp(1e-4, 1 - 1e-4)) / cells**0.5  # (N, 5)
    noise[:, :CHOICES] += (means - noise[:, :CHOICES].mean((2, 3)))[:, :, None, None]
    return noise


def to_signed(images: torch.Tensor) -> torch.Tensor:
    """Convert uint8 images to [-1, 1], the range of the autoencoder."""
    return images.float() / 127.5 - 1
