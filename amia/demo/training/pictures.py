"""Pictures that the tiny ResNet learns from: invented scenes with any amount of grain, half of them blended in pairs.

Recognisers see photographs, synthesized images, which have no grain, and blends of the two in any ratio.
"""

import random

import numpy as np
import torch
from PIL import Image

from amia.demo.training.attributes import attribute_targets
from amia.demo.training.inventions import Scene, draw_scene, invented_scene
from amia.demo.training.targets import SIDE

_SIDES = (64, 80, 96, 112)
_MOST_GRAIN = 12.0
_BLENDED = 0.5


def picture(scene: Scene, rng: random.Random) -> Image.Image:
    """A picture of `scene` of 64 to 112 pixels a side, with grain of 0 to 12 grey levels."""
    side = rng.choice(_SIDES)
    grain = np.random.default_rng(rng.getrandbits(64)).normal(0.0, rng.uniform(0.0, _MOST_GRAIN), (side, side, 1))
    return Image.fromarray(np.clip(np.asarray(draw_scene(scene, side, rng)) + grain, 0, 255).astype(np.uint8))


def labelled_pictures(count: int, rng: random.Random, blended: float = _BLENDED) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures uint8 (N, 3, 64, 64) of invented scenes and their attributes in [0, 1] (N, number of attributes).

    A share of about `blended` is mixed with the next picture, in a ratio drawn from [0, 1]; so are the attributes.
    """
    scenes = [invented_scene(rng) for _ in range(count)]
    small = [picture(scene, rng).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for scene in scenes]
    pictures = torch.from_numpy(np.stack([np.asarray(each) for each in small])).permute(0, 3, 1, 2).float()
    targets = attribute_targets(scenes)
    ratios = torch.tensor([rng.random() if rng.random() < blended else 0.0 for _ in scenes])
    pictures = pictures.lerp(pictures.roll(1, 0), ratios.view(-1, 1, 1, 1))
    return pictures.round().byte(), targets.lerp(targets.roll(1, 0), ratios.view(-1, 1))
