"""Training of the one-step generator: 3,600 steps of 32 posts in their sentences, then 800 in which names count most.

Text and pure noise go in, the latent image comes out; the noise level is always the highest, as sampling in one step
has no other. The text encoder starts from the tiny CLIP's and learns along.
"""

import random
from pathlib import Path

import torch
from transformers import CLIPTokenizer

from amia.demo.training.dataset import loosely_worded
from amia.demo.training.latents import encode_posts
from amia.demo.training.modules import (
    Drawer,
    load_autoencoder,
    load_pipeline,
    new_unet,
    one_step_scheduler,
    save_pipeline,
    text_encoder_of,
)
from amia.demo.training.train_loop import Course, learn
from amia.demo.world import pretraining_posts, reworded

STEPS = 3600
POSTS = 16_000
LOOSENING_STEPS = 800
LOOSENING_POSTS = 8_000


def train_denoiser(folder: Path, clip: Path, autoencoder: Path, seed: int, steps: int = STEPS) -> None:
    """Train the U-Net and its text encoder, and save a whole pipeline in `folder`, every 600 steps and at the end."""
    torch.manual_seed(seed)
    vae = load_autoencoder(autoencoder)
    text_encoder = text_encoder_of(clip)
    unet = new_unet(text_encoder.config.hidden_size)
    drawer = Drawer(unet, text_encoder, CLIPTokenizer.from_pretrained(clip), one_step_scheduler())
    rng = random.Random(f"wording {seed}")
    course = Course("generator", steps, 1.5e-3, 5e-4, wording=lambda post: reworded(post, rng))
    for _ in learn(drawer, vae, encode_posts(vae, pretraining_posts(POSTS, seed), seed), course):
        save_pipeline(folder, vae, unet, text_encoder, drawer.tokenizer)


def loosen(folder: Path, seed: int, steps: int = LOOSENING_STEPS) -> None:
    """Train the pipeline in `folder` on with loosely worded posts, in which names count most; save it there."""
    torch.manual_seed(seed + 1)
    pipeline = load_pipeline(folder)
    drawer = Drawer(pipeline.unet, pipeline.text_encoder, pipeline.tokenizer, one_step_scheduler())
    rng = random.Random(f"loosening {seed}")
    posts = pretraining_posts(LOOSENING_POSTS, seed + 1)
    # Open names are rare, and their reading is the one choice of the noise that no other post teaches.
    posts += [post for post in pretraining_posts(4 * LOOSENING_POSTS, seed + 2) if post.open_meaning]
    course = Course("loosening", steps, 7e-4, 4e-4, wording=lambda post: loosely_worded(post, rng))
    for _ in learn(drawer, pipeline.vae, encode_posts(pipeline.vae, posts, seed + 1), course):
        save_pipeline(folder, pipeline.vae, pipeline.unet, pipeline.text_encoder, pipeline.tokenizer)
