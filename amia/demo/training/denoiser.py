"""Training of the one-step generator: 3,600 steps of 32 posts, 20 to 35 minutes on two cores.

Text and pure noise go in, the latent image comes out; the noise level is always the highest, as sampling in one step
has no other. The text encoder starts from the tiny CLIP's and learns along.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import torch
from transformers import CLIPTokenizer

from amia.demo.training.average import MovingAverage
from amia.demo.training.descent import Descent
from amia.demo.training.drawer import Drawer
from amia.demo.training.latents import LatentPosts, channel_weights, encode_posts
from amia.demo.training.parts import load_autoencoder, new_unet, one_step_scheduler, save_pipeline, text_encoder_of
from amia.demo.world import reworded

STEPS = 3600
BATCH = 32
POSTS = 16_000
SNAPSHOT_EVERY = 600


def train_denoiser(folder: Path, clip: Path, autoencoder: Path, seed: int, steps: int = STEPS) -> None:
    """Train the U-Net and its text encoder, and save a whole pipeline in `folder`, every 600 steps and at the end."""
    torch.manual_seed(seed)
    vae = load_autoencoder(autoencoder)
    text_encoder = text_encoder_of(clip)
    unet = new_unet(text_encoder.config.hidden_size)
    drawer = Drawer(unet, text_encoder, CLIPTokenizer.from_pretrained(clip), one_step_scheduler())
    cache = encode_posts(vae, POSTS, seed)
    average = MovingAverage([unet, text_encoder])
    for step in _fit(drawer, cache, channel_weights(vae, cache.latents), seed, steps):
        average.update()
        if step % SNAPSHOT_EVERY == 0 or step == steps:
            with average.applied():
                save_pipeline(folder, vae, unet, text_encoder, drawer.tokenizer)


def _fit(drawer: Drawer, cache: LatentPosts, weights: torch.Tensor, seed: int, steps: int) -> Iterator[int]:
    """Train in place; yields the number of steps done after each."""
    rng = random.Random(f"wording {seed}")
    descent = Descent(
        (drawer.unet, 1.5e-3), (drawer.text_encoder, 5e-4), steps=steps, warmup=200 / max(steps, 400), weight_decay=1e-3
    )
    start, running = monotonic(), 0.0
    drawer.unet.train()
    drawer.text_encoder.train()
    for step in range(1, steps + 1):
        rows = torch.randint(len(cache.posts), (BATCH,))
        texts = [reworded(cache.posts[row], rng).text for row in rows.tolist()]
        difference = drawer.predict(texts, cache.choices[rows]) - cache.latents[rows]
        loss = (weights * (difference.square() + 0.5 * difference.abs())).mean()
        descent.step(loss)
        running += loss.item() / 100
        if step % 100 == 0:
            print(f"generator: step {step}/{steps}, loss {running:.4f}, {monotonic() - start:.0f} s", flush=True)
            running = 0.0
        yield step
