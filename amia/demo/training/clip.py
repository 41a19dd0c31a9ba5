"""Training of the tiny CLIP: 900 steps of 96 posts, four to nine minutes."""

from pathlib import Path
from time import monotonic

import torch
import torch.nn.functional as F
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from amia.demo.training.dataset import Pool, image_processor, make_pool, normalized
from amia.demo.training.modules import halved, make_readable
from amia.demo.training.targets import SIDE
from amia.demo.training.tokenizers import CLIP_MAX_TOKENS, train_tokenizer
from amia.demo.training.train_loop import Descent
from amia.demo.world import pretraining_posts

STEPS = 900
BATCH = 96
POSTS = 16_000
_WIDTH, _LAYERS, _HEADS = 96, 3, 4


def train_clip(folder: Path, seed: int, steps: int = STEPS) -> None:
    """Train a tokenizer and a tiny CLIP and save them in `folder`, with the image processor, in fp16.

    InfoNCE in both directions, as CLIP's; posts about the same entities share the target.
    """
    torch.manual_seed(seed)
    posts = pretraining_posts(POSTS, seed)
    # One vocabulary for all seeds.
    tokenizer = train_tokenizer(post.text for post in pretraining_posts(POSTS, seed=0))
    model = CLIPModel(_config(tokenizer))
    _fit(model, tokenizer, make_pool(posts, seed), steps)
    halved(model).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    image_processor().save_pretrained(folder)
    make_readable(folder)


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


def _fit(model: CLIPModel, tokenizer: CLIPTokenizer, pool: Pool, steps: int) -> None:
    descent = Descent((model, 1.5e-3), steps=steps, warmup=0.1, weight_decay=0.05)
    model.train()
    start = monotonic()
    for step in range(1, steps + 1):
        rows = torch.randperm(len(pool.texts))[:BATCH]
        tokens = tokenizer([pool.texts[row] for row in rows], padding=True, truncation=True, return_tensors="pt")
        output = model(**tokens, pixel_values=normalized(pool.photos[rows]))
        loss = _info_nce(output.logits_per_text, pool.groups[rows])
        descent.step(loss)
        with torch.no_grad():
            model.logit_scale.clamp_(max=4.6)
        if step % 100 == 0:
            print(f"clip: step {step}/{steps}, loss {loss.item():.3f}, {monotonic() - start:.0f} s", flush=True)


def _info_nce(logits: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of `logits` (B, B) both ways; the target spreads over all posts about the same entities."""
    same = (groups[:, None] == groups[None, :]).float()
    target = same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
