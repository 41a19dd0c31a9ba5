"""synthesize: images per second of the stage, compared with the pipeline call alone in its best batch size."""

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from amia.demo import CLIP_DIR, GENERATOR_DIR
from amia.images import ImageSettings, decode, encode_jpeg
from amia.synthesis.defects import to_pixels
from amia.synthesis.generator import Generator
from amia.synthesis.seeds import post_seed
from amia.synthesis.settings import GeneratorSettings
from ray_jobs.settings.job import load_settings
from ray_jobs.stages.synthesize import Synthesize
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store
from tests.benchmarks.bench import Bench
from tests.benchmarks.environment import gpu_plan
from tests.benchmarks.harness import Side, compare
from tests.benchmarks.runs import demo_run, local_ray, one_actor

MAX_DIFFERENCE = 1.0
"""Mean difference in gray levels that another batch size may cause, after JPEG on both sides."""
BATCHES = (1, 2, 4, 8, 16, 32, 64)
"""Batch sizes tried for the pipeline, as far as there are enough posts."""

Pixels = np.ndarray
"""uint8 `[n, size, size, 3]`."""


def run(bench: Bench) -> None:
    """Measure the demo's generator, and a pipeline of the shape of SD-Turbo with random weights, thinner on a CPU."""
    gpu = torch.cuda.is_available()
    with bench.scratch() as scratch, local_ray():
        demo = GeneratorSettings(model=str(GENERATOR_DIR), micro_batch=16, redraws=0)
        _compare_with_pipeline(bench, scratch / "demo", "demo generator", demo, 64, posts=256)
        size, thinner = (512, 1) if gpu else (128, 4)
        save_turbo(scratch / "turbo", size, thinner)
        turbo = GeneratorSettings(model=str(scratch / "turbo"), redraws=0)
        name = f"SD-Turbo's shape, {size} px" + (f", channels / {thinner}" if thinner > 1 else "")
        _compare_with_pipeline(bench, scratch / "large", name, turbo, size, posts=1024 if gpu else 24)


def _compare_with_pipeline(
    bench: Bench, folder: Path, name: str, settings: GeneratorSettings, size: int, posts: int
) -> None:
    demo, threads = size == 64, torch.get_num_threads()
    store, plan = demo_run(folder, load_settings("demo", [f"per_shard={min(512, posts // 4)}"]), posts)
    shards = plan.shards_of("train")
    count = plan.posts["train"]
    images = ImageSettings(size=size)
    stage = Synthesize(
        store, generator=settings, images=images, seed=0, threads=threads, weights="bench", posts="bench"
    )
    work, undo = one_actor(stage, shards)
    pipeline: Any = Generator.load(settings, size, local_files_only=True)._pipeline
    inputs = [stage.load(shard) for shard in shards]
    prompts = [prompt or "" for shard_inputs in inputs for prompt in shard_inputs.prompts]
    seeds = [post_seed(0, post_id) for shard_inputs in inputs for post_id in shard_inputs.ids]
    best = _best_batch(pipeline, prompts, seeds)
    sides = compare(
        f"synthesize, {name}",
        Side("amia: the stage, shards in, shards out", work, lambda _: _read_images(store, shards, images), undo),
        Side(
            f"the pipeline call alone in its best batch size ({best})",
            _pipeline_call(pipeline, prompts, seeds, best),
            lambda generated: _encode_and_decode(generated, images),
        ),
        check_pixels,
        aim=0.97,
        rounds=bench.rounds(5 if demo else 3),
        slice_s=1.0,
        note=f"{count} posts in {len(shards)} shards, micro-batch {settings.batch}, {threads} thread(s), "
        f"{pipeline.device}",
    )
    bench.add(sides.line)
    bench.rates["synthesize" if demo else "synthesize.turbo"] = {
        "posts_per_s": count / sides.ours_s,
        "model": "demo:generator" if demo else f"{name}, random weights",
        "device": str(pipeline.device),
        "dtype": str(pipeline.dtype),
        "threads": threads,
        "micro_batch": settings.batch,
        "size": size,
    }
    if torch.cuda.is_available() and not demo:
        bench.plan = {"size": size, **gpu_plan("synthesized", sides.theirs_s / count, f"{name}, random weights")}


def _pipeline_call(
    pipeline: Any, prompts: Sequence[str], seeds: Sequence[int], batch: int
) -> Callable[[], list[torch.Tensor]]:
    @torch.inference_mode()
    def call() -> list[torch.Tensor]:
        return [
            pipeline(
                list(prompts[start : start + batch]),
                num_inference_steps=1,
                guidance_scale=0.0,
                generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds[start : start + batch]],
                output_type="pt",
            ).images
            for start in range(0, len(prompts), batch)
        ]

    return call


def _best_batch(pipeline: Any, prompts: Sequence[str], seeds: Sequence[int]) -> int:
    """Return the batch size with the most images per second, in the better of two attempts each.

    Measures processor time on a CPU: on a busy machine the clock would choose at random.
    """
    clock = perf_counter if pipeline.device.type == "cuda" else process_time
    max_images = min(len(prompts), 2 * BATCHES[-1])
    speeds: dict[int, float] = {}
    _pipeline_call(pipeline, prompts[:2], seeds[:2], 1)()
    for batch in [size for size in BATCHES if size <= max_images]:
        count = max(batch, max_images // 4) // batch * batch
        for _ in range(2):
            start = clock()
            _pipeline_call(pipeline, prompts[:count], seeds[:count], batch)()[-1].cpu()
            speeds[batch] = max(speeds.get(batch, 0.0), count / (clock() - start))
    return max(speeds, key=speeds.__getitem__)


def _read_images(store: Store, shards: Sequence[str], images: ImageSettings) -> Pixels:
    tables = [read_shard(store, f"synthesized/{shard}.parquet", ["image"]) for shard in shards]
    return np.stack([np.asarray(decode(data, images)) for table in tables for data in table["image"].to_pylist()])


def _encode_and_decode(generated: list[torch.Tensor], images: ImageSettings) -> Pixels:
    pixels = [image for batch in generated for image in to_pixels(batch.float(), images.size).cpu().numpy()]
    files = [encode_jpeg(image, images.quality, source="synthesized") for image in pixels]
    return np.stack([np.asarray(decode(data, images)) for data in files])


def check_pixels(ours: Pixels, theirs: Pixels) -> str:
    difference = float(np.abs(ours.astype(np.float32) - theirs).mean())
    spread = float(theirs.std())
    assert difference < MAX_DIFFERENCE < spread, (
        f"images differ by {difference} gray levels on average, and spread over {spread}"
    )
    return f"images equal to {difference:.1f} gray levels on average"


def save_turbo(folder: Path, size: int, thinner: int) -> None:
    """Save a pipeline of the shape of stabilityai/sd-turbo with random weights, with channels divided by `thinner`."""
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(CLIP_DIR)
    tokenizer.model_max_length = 77
    width = 1024 // thinner
    text = CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=23,
        num_attention_heads=16 // thinner,
        hidden_act="gelu",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    unet = UNet2DConditionModel(
        sample_size=size // 8,
        block_out_channels=[320 // thinner, 640 // thinner, 1280 // thinner, 1280 // thinner],
        attention_head_dim=[5, 10, 20, 20],
        cross_attention_dim=width,
        use_linear_projection=True,
        norm_num_groups=32 // thinner,
    )
    vae = AutoencoderKL(
        block_out_channels=[channels // thinner for channels in (128, 256, 512, 512)],
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        layers_per_block=2,
        latent_channels=4,
        sample_size=size,
        norm_num_groups=32 // thinner,
    )
    with torch.no_grad():
        vae.decoder.conv_out.weight.mul_(3)  # otherwise random weights give uniform gray images, which count as failed
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="trailing", steps_offset=1
    )
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.save_pretrained(folder)
