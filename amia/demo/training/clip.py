"""Train the tiny CLIP: 1,200 steps of 96 posts."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from amia.demo.drawing.appearance import get_look
from amia.demo.drawing.scene import draw_photograph
from amia.demo.shares import PRETRAINING
from amia.demo.training.modules import make_readable, to_half
from amia.demo.training.targets import SIDE
from amia.demo.training.tokenizers import CLIP_MAX_TOKENS, train_clip_tokenizer
from amia.demo.training.train_loop import ScheduledOptimizer
from amia.demo.world import DemoPost, draw_posts, draw_visible

STEPS = 1200
BATCH = 96
POSTS = 32_000
_WIDTH, _LAYERS, _HEADS = 96, 3, 4


@dataclass(frozen=True)
class PhotoDataset:
    """`texts`; `photos` uint8 (N, 3, 64, 64); `groups` int64 (N,), equal if all entities look the same."""

    texts: list[str]
    photos: torch.Tensor
    groups: torch.Tensor


def train_clip(folder: Path, seed: int, steps: int = STEPS) -> None:
    """Train a tokenizer and a tiny CLIP and save them in `folder`, with the image processor, in float16.

    The loss is InfoNCE in both directions, as in CLIP. Posts about entities that look the same share the target.
    """
    torch.manual_seed(seed)
    posts = draw_posts(POSTS, seed, "pretraining")
    # One vocabulary for all seeds.
    tokenizer = train_clip_tokenizer(post.text for post in draw_posts(POSTS, 0, "pretraining"))
    model = CLIPModel(_config(tokenizer))
    _fit(model, tokenizer, make_dataset(posts, seed), steps)
    to_half(model).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    image_processor().save_pretrained(folder)
    make_readable(folder)


def image_processor() -> CLIPImageProcessorPil:
    """Return the image processor of the tiny CLIP: the central square at 64 x 64, with CLIP's normalization."""
    return CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})


def make_dataset(posts: Sequence[DemoPost], seed: int) -> PhotoDataset:
    """Draw photographs of `posts`, cropped and resized like the image processor does."""
    rng = random.Random(f"photographs {seed}")
    photos = np.stack([_photograph(post, rng) for post in posts])  # (N, 64, 64, 3)
    numbers: dict[frozenset[object], int] = {}
    groups = [
        numbers.setdefault(frozenset((entity.kind, get_look(entity)) for entity in post.entities), len(numbers))
        for post in posts
    ]
    texts = [post.text for post in posts]
    return PhotoDataset(texts, torch.from_numpy(photos).permute(0, 3, 1, 2).contiguous(), torch.tensor(groups))


def _photograph(post: DemoPost, rng: random.Random) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Draw what a photograph of a pretraining post shows: most of its entities."""
    visible = draw_visible(post.entities, PRETRAINING, rng).entities
    return _center_square(draw_photograph(visible, rng).image)


def _center_square(photo: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    square = photo.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _normalize(photos: torch.Tensor) -> torch.Tensor:
    """Normalize pixels 0 to 255 (N, 3, H, W) with CLIP's mean and standard deviation."""
    processor = image_processor()
    mean = torch.tensor(processor.image_mean).view(1, 3, 1, 1)
    std = torch.tensor(processor.image_std).view(1, 3, 1, 1)
    return (photos.float() / 255 - mean) / std


def _config(tokenizer: CLIPTokenizer) -> CLIPConfig:
    tower = {
        "hidden_size": _WIDTH,
        "intermediate_size": 4 * _WIDTH,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
    }
    # The ids must be set: with the default end token 2, CLIP pools at the largest id instead of the end token.
    text = {
        **tower,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": CLIP_MAX_TOKENS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return CLIPConfig(text_config=text, vision_config={**tower, "image_size": SIDE, "patch_size": 8}, projection_dim=64)


def _fit(model: CLIPModel, tokenizer: CLIPTokenizer, dataset: PhotoDataset, steps: int) -> None:
    optimizer = ScheduledOptimizer((model, 1.5e-3), steps=steps, warmup=0.1, weight_decay=0.05)
    model.train()
    start = monotonic()
    for step in range(1, steps + 1):
        rows = torch.randperm(len(dataset.texts))[:BATCH]
        tokens = tokenizer([dataset.texts[row] for row in rows], padding=True, truncation=True, return_tensors="pt")
        output = model(**tokens, pixel_values=_normalize(dataset.photos[rows]))
        loss = _info_nce(output.logits_per_text, dataset.groups[rows])
        optimizer.step(loss)
        with torch.no_grad():
            model.logit_scale.clamp_(max=4.6)
        if step % 100 == 0:
            print(f"clip: step {step}/{steps}, loss {loss.item():.3f}, {monotonic() - start:.0f} s", flush=True)


def _info_nce(logits: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of `logits` (B, B) both ways. Posts of one group share the target."""
    same = (groups[:, None] == groups[None, :]).float()
    target = same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
