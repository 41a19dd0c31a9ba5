"""Pictures that the tiny ResNet learns from: invented scenes with any amount of grain.

Recognisers see photographs, which have grain, and synthesized images, which have none.
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


def picture(scene: Scene, rng: random.Random) -> Image.Image:
    """A picture of `scene` of 64 to 112 pixels a side, with grain of 0 to 12 grey levels."""
    side = rng.choice(_SIDES)
    grain = np.random.default_rng(rng.getrandbits(64)).normal(0.0, rng.uniform(0.0, _MOST_GRAIN), (side, side, 1))
    return Image.fromarray(np.clip(np.asarray(draw_scene(scene, side, rng)) + grain, 0, 255).astype(np.uint8))


def labelled_pictures(count: int, rng: random.Random) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures uint8 (N, 3, 64, 64) of invented scenes and their attributes, 0 or 1 (N, number of attributes)."""
    scenes = [invented_scene(rng) for _ in range(count)]
    small = [picture(scene, rng).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for scene in scenes]
    pictures = torch.from_numpy(np.stack([np.asarray(each) for each in small])).permute(0, 3, 1, 2).contiguous()
    return pictures, attribute_targets(scenes)
