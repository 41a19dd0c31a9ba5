"""What the generator learns to draw, and how the noise decides what the text leaves open.

In one step from pure noise a regression averages whatever it cannot know to a blur. So each free choice of an image is
a function of the noise: the mean over space of one latent channel, a standard normal once scaled, becomes a number in
[0, 1] by its distribution function. Over posts the noise stays N(0, I).

The shipped generator learned to follow the tint and the light. Mood and reading it hardly follows: seeds change the
color of a wall and the shade of a skin, but the sun stays a smear and a name with open meaning keeps one reading.
"""

import random
from collections.abc import Sequence

import numpy as np
import torch

from amia.demo.drawing.appearance import Variation
from amia.demo.drawing.scene import draw_scene
from amia.demo.names import Entity, readings
from amia.demo.world import Post

# MERGED FROM amia.demo.training.targets: The generator's targets as latent images, encoded once, and which latent channels matter.
SIDE = 64
CHOICES = 5
LATENT = (8, 16, 16)
"""Channels, height and width of the latent image."""


def shown(post: Post, reading: float) -> tuple[Entity, ...]:
    """Whom the image shows: the entities of the post, or a reading of a name that its sentence leaves open."""
    if not post.open_meaning:
        return post.entities
    known = readings(post.entities[0].surface)
    return (known[min(int(reading * len(known)), len(known) - 1)],)


def targets(posts: Sequence[Post], choices: torch.Tensor) -> torch.Tensor:
    """Images of posts, uint8 (N, 3, 64, 64), for `choices` in [0, 1] (N, 5): centered, clean, without grain."""
    pictures = []
    for post, row in zip(posts, choices.tolist(), strict=True):
        variation = Variation(*row)
        pictures.append(np.asarray(draw_scene(shown(post, variation.reading), variation, SIDE, SIDE)))
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
