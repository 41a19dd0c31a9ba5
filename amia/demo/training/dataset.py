"""Posts with their photographs, drawn once and kept as arrays."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil

from amia.demo.drawing.scene import draw_photograph
from amia.demo.names import readings
from amia.demo.training.targets import SIDE
from amia.demo.world import Post, reworded, scrambled


# MERGED FROM amia.demo.training.dataset: How a post is worded anew while the generator learns.
def image_processor() -> CLIPImageProcessorPil:
    """What the tiny CLIP does to an image: the middle square at 64 x 64, with CLIP's own normalization."""
    return CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})


@dataclass(frozen=True)
class Pool:
    """`texts`; `photos` uint8 (N, 3, 64, 64); `groups` int64 (N,), equal for posts about the same entities."""

    texts: list[str]
    photos: torch.Tensor
    groups: torch.Tensor


def make_pool(posts: Sequence[Post], seed: int) -> Pool:
    """Photographs of `posts`, cropped and resized as the image processor does it."""
    rng = random.Random(f"photographs {seed}")
    photos = np.stack([_middle_square(draw_photograph(post.entities, rng)) for post in posts])  # (N, 64, 64, 3)
    known: dict[frozenset[object], int] = {}
    groups = [known.setdefault(frozenset(post.entities), len(known)) for post in posts]
    texts = [post.text for post in posts]
    return Pool(texts, torch.from_numpy(photos).permute(0, 3, 1, 2).contiguous(), torch.tensor(groups))


def _middle_square(photo: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    square = photo.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def normalized(photos: torch.Tensor) -> torch.Tensor:
    """Pixels 0 to 255 (N, 3, H, W) with CLIP's mean and standard deviation."""
    processor = image_processor()
    mean = torch.tensor(processor.image_mean).view(1, 3, 1, 1)
    deviation = torch.tensor(processor.image_std).view(1, 3, 1, 1)
    return (photos.float() / 255 - mean) / deviation


def loosely_worded(post: Post, rng: random.Random) -> Post:
    """Half of the time the names of `post` stand in a sentence meant for others, so that names count most.

    Without this, phrases of the training sentences draw by themselves: a coach, whoever is named, draws a person.
    Ambiguous names keep sentences of their own, since these are what settles their meaning.
    """
    plain = all(len(readings(entity.surface)) == 1 for entity in post.entities)
    return scrambled(post, rng) if plain and rng.random() < 0.5 else reworded(post, rng)


def pixels(pictures: torch.Tensor) -> torch.Tensor:
    """uint8 images as the autoencoder reads them, in [-1, 1]."""
    return pictures.float() / 127.5 - 1
