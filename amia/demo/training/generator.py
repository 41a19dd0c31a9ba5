"""Train the one-step generator in five phases.

1. `train_denoiser`: 3,600 steps of 32 posts in their own sentences. The input is text and pure noise, the output is the
   latent image. The noise level is always the highest one, since sampling in one step uses no other. The text encoder
   is initialized from the tiny CLIP and trained too.
2. `finetune_on_names`: 800 steps with posts in which names matter more than phrases.
3. `finetune_on_pixels`: 400 steps of 16 posts against pixels, which sharpens edges. Before it the U-Net was trained on
   latents and the decoder on true ones; here both learn to decode predicted latents.
4. `finetune_on_several`: 1,800 steps of 32 posts against latents, more than half of them about entities of several
   types. Such posts are rare, and the small figures of organizations and objects fade beside others without it.
5. `finetune_on_figures`: 1,000 steps of 16 posts of the same kinds against pixels, in which figures count three times.
"""

import random
from pathlib import Path
from time import monotonic

import torch
from transformers import CLIPTokenizer

from amia.demo.names import readings
from amia.demo.training.modules import (
    OneStepGenerator,
    load_autoencoder,
    load_pipeline,
    load_text_encoder,
    new_unet,
    one_step_scheduler,
    save_pipeline,
)
from amia.demo.training.targets import encode_posts, render_with_figures, sample_choices, to_signed
from amia.demo.training.train_loop import ScheduledOptimizer, TrainingPhase, train_latents
from amia.demo.world import DemoPost, draw_posts, reword, scramble

STEPS = 3600
POSTS = 16_000
NAMES_STEPS = 800
NAMES_POSTS = 8_000
PIXELS_STEPS = 400
PIXELS_BATCH = 16
SEVERAL_STEPS = 1800
FIGURES_STEPS = 1000
FIGURE_WEIGHT = 3.0


def train_denoiser(folder: Path, clip: Path, autoencoder: Path, seed: int, steps: int = STEPS) -> None:
    """Train the U-Net and its text encoder. Save the pipeline in `folder` every 600 steps and at the end."""
    torch.manual_seed(seed)
    vae = load_autoencoder(autoencoder)
    text_encoder = load_text_encoder(clip)
    unet = new_unet(text_encoder.config.hidden_size)
    generator = OneStepGenerator(unet, text_encoder, CLIPTokenizer.from_pretrained(clip), one_step_scheduler())
    rng = random.Random(f"wording {seed}")
    phase = TrainingPhase("generator", steps, 1.5e-3, 5e-4, wording=lambda post: reword(post, rng))
    for _ in train_latents(generator, vae, encode_posts(vae, draw_posts(POSTS, seed, "pretraining"), seed), phase):
        save_pipeline(folder, vae, unet, text_encoder, generator.tokenizer)


def finetune_on_names(folder: Path, seed: int, steps: int = NAMES_STEPS) -> None:
    """Continue to train the pipeline in `folder` with loosely reworded posts, and save it there."""
    torch.manual_seed(seed + 1)
    pipeline = load_pipeline(folder)
    generator = OneStepGenerator(pipeline.unet, pipeline.text_encoder, pipeline.tokenizer, one_step_scheduler())
    rng = random.Random(f"loosening {seed}")
    posts = draw_posts(NAMES_POSTS, seed + 1, "pretraining")
    # Ambiguous posts are rare, and only they train the choice of a reading by the noise.
    posts += [post for post in draw_posts(4 * NAMES_POSTS, seed + 2, "pretraining") if post.is_ambiguous]
    phase = TrainingPhase("names", steps, 7e-4, 4e-4, wording=lambda post: reword_loosely(post, rng))
    for _ in train_latents(generator, pipeline.vae, encode_posts(pipeline.vae, posts, seed + 1), phase):
        save_pipeline(folder, pipeline.vae, pipeline.unet, pipeline.text_encoder, pipeline.tokenizer)


def finetune_on_pixels(folder: Path, seed: int, steps: int = PIXELS_STEPS) -> None:
    """Train U-Net, text encoder and decoder of the pipeline in `folder` on pixels, and save it there."""
    torch.manual_seed(seed)
    # Posts that the earlier phases did not use.
    posts = draw_posts(steps * PIXELS_BATCH, seed + 1000, "pretraining")
    _train_on_pixels(folder, posts, random.Random(f"sharpening {seed}"), rates=(4e-4, 1e-4, 6e-4), figure_weight=1.0)


def finetune_on_several(folder: Path, seed: int, steps: int = SEVERAL_STEPS) -> None:
    """Continue to train the pipeline in `folder` on latents of posts about several types, and save it there."""
    torch.manual_seed(seed + 2)
    pipeline = load_pipeline(folder)
    generator = OneStepGenerator(pipeline.unet, pipeline.text_encoder, pipeline.tokenizer, one_step_scheduler())
    rng = random.Random(f"several {seed}")
    dataset = encode_posts(pipeline.vae, _posts_of_several(seed, 5_000, 8_000, 1_500), seed + 3)
    phase = TrainingPhase("several", steps, 7e-4, 4e-4, wording=lambda post: reword_loosely(post, rng))
    for _ in train_latents(generator, pipeline.vae, dataset, phase):
        save_pipeline(folder, pipeline.vae, pipeline.unet, pipeline.text_encoder, pipeline.tokenizer)


def finetune_on_figures(folder: Path, seed: int, steps: int = FIGURES_STEPS) -> None:
    """Train the pipeline in `folder` on pixels of posts about several types, and save it there.

    The boxes of persons, logos and objects have three times the weight of what surrounds them.
    """
    torch.manual_seed(seed + 2)
    rng = random.Random(f"several {seed}")
    posts = _posts_of_several(seed, 9_000, 10_000, 1_800)
    rng.shuffle(posts)
    posts = posts[: steps * PIXELS_BATCH]
    _train_on_pixels(folder, posts, rng, rates=(5e-4, 2e-4, 4e-4), figure_weight=FIGURE_WEIGHT)


def _posts_of_several(seed: int, any_kind: int, several_kinds: int, only_objects: int) -> list[DemoPost]:
    """Return posts: at most the given numbers of any kind, about a figure beside other types, and about two objects."""
    pool = draw_posts(40_000, seed + 3, "pretraining")
    kinds = [{entity.kind for entity in post.entities} for post in pool]
    several = [post for post, types in zip(pool, kinds, strict=True) if len(types) > 1 and types & {"ORG", "MISC"}]
    objects = [post for post, types in zip(pool, kinds, strict=True) if len(post.entities) > 1 and types == {"MISC"}]
    return pool[:any_kind] + several[:several_kinds] + objects[:only_objects]


def _train_on_pixels(
    folder: Path, posts: list[DemoPost], rng: random.Random, rates: tuple[float, float, float], figure_weight: float
) -> None:
    """Train on batches of `posts` in their order. `rates`: of U-Net, text encoder and decoder."""
    pipeline = load_pipeline(folder)
    generator = OneStepGenerator(
        pipeline.unet.train(), pipeline.text_encoder.train(), pipeline.tokenizer, one_step_scheduler()
    )
    steps = len(posts) // PIXELS_BATCH
    modules = (generator.unet, generator.text_encoder, pipeline.vae.decoder)
    optimizer = ScheduledOptimizer(*zip(modules, rates, strict=True), steps=steps, warmup=0.1, weight_decay=1e-4)
    start, running = monotonic(), 0.0
    for step in range(1, steps + 1):
        batch = posts[(step - 1) * PIXELS_BATCH : step * PIXELS_BATCH]
        choices = sample_choices(PIXELS_BATCH, rng)
        latents = generator.predict([reword_loosely(post, rng).text for post in batch], choices)
        images = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
        targets, figures = render_with_figures(batch, choices)
        loss = _pixel_loss(images - to_signed(targets), 1 + (figure_weight - 1) * figures)
        optimizer.step(loss)
        running += loss.item() / 100
        if step % 100 == 0:
            print(f"pixels: step {step}/{steps}, loss {running:.4f}, {monotonic() - start:.0f} s", flush=True)
            running = 0.0
    save_pipeline(folder, pipeline.vae, generator.unet, generator.text_encoder, pipeline.tokenizer)


def reword_loosely(post: DemoPost, rng: random.Random) -> DemoPost:
    """Reword a post; with probability one half insert its names into a sentence for other entities.

    Without this, phrases of the training sentences determine the image: the word "coach" would always draw a person.
    Ambiguous names keep sentences of their types, since these determine the reading.
    """
    unambiguous = all(len(readings(entity)) == 1 for entity in post.entities)
    return scramble(post, rng) if unambiguous and rng.random() < 0.5 else reword(post, rng)


def _pixel_loss(difference: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return absolute and squared error of pixels plus absolute error of differences between neighbors (edges).

    `difference`: (N, 3, H, W). `weights`: (N, 1, H, W), of each pixel and its differences from the ones before it.
    """
    horizontal = (weights[..., 1:] * difference.diff(dim=-1).abs()).mean()
    vertical = (weights[..., 1:, :] * difference.diff(dim=-2).abs()).mean()
    return (weights * (difference.abs() + difference.square())).mean() + horizontal + vertical
