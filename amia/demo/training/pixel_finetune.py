"""The last steps of the generator: 400 steps of 16 posts against pixels, which sharpens edges and small things.

Until here the U-Net aimed at latents and the decoder knew only true ones. Now both learn together what the decoder
makes of predicted latents.
"""

import random
from pathlib import Path
from time import monotonic

import torch

from amia.demo.training.dataset import loosely_worded, pixels
from amia.demo.training.modules import Drawer, load_pipeline, one_step_scheduler, save_pipeline
from amia.demo.training.targets import random_choices, targets
from amia.demo.training.train_loop import Descent
from amia.demo.world import pretraining_posts

STEPS = 400
BATCH = 16


def sharpen(folder: Path, seed: int, steps: int = STEPS) -> None:
    """Train U-Net, text encoder and decoder of the pipeline in `folder` on pixels, and save it there again."""
    torch.manual_seed(seed)
    pipeline = load_pipeline(folder)
    drawer = Drawer(pipeline.unet.train(), pipeline.text_encoder.train(), pipeline.tokenizer, one_step_scheduler())
    # Posts that the earlier steps did not draw.
    posts = pretraining_posts(steps * BATCH, seed + 1000)
    rng = random.Random(f"sharpening {seed}")
    descent = Descent(
        (drawer.unet, 4e-4),
        (drawer.text_encoder, 1e-4),
        (pipeline.vae.decoder, 6e-4),
        steps=steps,
        warmup=0.1,
        weight_decay=1e-4,
    )
    start, running = monotonic(), 0.0
    for step in range(1, steps + 1):
        batch = posts[(step - 1) * BATCH : step * BATCH]
        choices = random_choices(BATCH, rng)
        latents = drawer.predict([loosely_worded(post, rng).text for post in batch], choices)
        drawn = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
        loss = _loss(drawn - pixels(targets(batch, choices)))
        descent.step(loss)
        running += loss.item() / 100
        if step % 100 == 0:
            print(f"sharpening: step {step}/{steps}, loss {running:.4f}, {monotonic() - start:.0f} s", flush=True)
            running = 0.0
    save_pipeline(folder, pipeline.vae, drawer.unet, drawer.text_encoder, drawer.tokenizer)


def _loss(difference: torch.Tensor) -> torch.Tensor:
    """Absolute and squared error of pixels, and absolute error of the steps between neighbors, which edges are."""
    across = difference.diff(dim=-1).abs().mean()
    down = difference.diff(dim=-2).abs().mean()
    return difference.abs().mean() + difference.square().mean() + across + down
