"""synthesize: images a second of the stage against the bare pipeline call, at the batch size that is best for it."""

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
from tests.benchmarks.facts import gpu_plan
from tests.benchmarks.harness import Side, compare
from tests.benchmarks.runs import demo_run, local_ray, one_actor

LEVELS = 1.0
"""Mean gray levels by which another batch size may move images, after JPEG on both sides."""
BATCHES = (1, 2, 4, 8, 16, 32, 64)
"""Tried for the bare pipeline, as far as the posts go."""

Pictures = np.ndarray
"""uint8 `[n, size, size, 3]`."""


def run(bench: Bench) -> None:
    """The demo's generator, and a pipeline of SD-Turbo's shape with random weights: whole on a GPU, thinner here."""
    gpu = torch.cuda.is_available()
    with bench.scratch() as scratch, local_ray():
        demo = GeneratorSettings(model=str(GENERATOR_DIR), micro_batch=16, redraws=0)
        _against_pipeline(bench, scratch / "demo", "demo generator", demo, 64, posts=256)
        size, thinner = (512, 1) if gpu else (128, 4)
        save_turbo(scratch / "turbo", size, thinner)
        turbo = GeneratorSettings(model=str(scratch / "turbo"), redraws=0)
        name = f"SD-Turbo's shape, {size} px" + (f", channels / {thinner}" if thinner > 1 else "")
        _against_pipeline(bench, scratch / "large", name, turbo, size, posts=1024 if gpu else 24)


def _against_pipeline(
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
    each = [stage.load(shard) for shard in shards]
    prompts = [prompt or "" for one in each for prompt in one.prompts]
    seeds = [post_seed(0, post_id) for one in each for post_id in one.ids]
    best = _best_batch(pipeline, prompts, seeds)
    sides = compare(
        f"synthesize, {name}",
        Side("amia, the stage: shards in, shards out", work, lambda _: _stored(store, shards, images), undo),
        Side(
            f"the bare pipeline call in its best batch ({best})",
            _bare(pipeline, prompts, seeds, best),
            lambda drawn: _as_stored(drawn, images),
        ),
        pictures_alike,
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


def _bare(pipeline: Any, prompts: Sequence[str], seeds: Sequence[int], batch: int) -> Callable[[], list[torch.Tensor]]:
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
    """The batch size with which the bare pipeline draws most images a second; the better of two tries each.

    On a CPU by processor time, since a busy machine's clock would choose at random.
    """
    clock = perf_counter if pipeline.device.type == "cuda" else process_time
    most = min(len(prompts), 2 * BATCHES[-1])
    speeds: dict[int, float] = {}
    _bare(pipeline, prompts[:2], seeds[:2], 1)()
    for batch in [each for each in BATCHES if each <= most]:
        some = max(batch, most // 4) // batch * batch
        for _ in range(2):
            begun = clock()
            _bare(pipeline, prompts[:some], seeds[:some], batch)()[-1].cpu()
            speeds[batch] = max(speeds.get(batch, 0.0), some / (clock() - begun))
    return max(speeds, key=speeds.__getitem__)


def _stored(store: Store, shards: Sequence[str], images: ImageSettings) -> Pictures:
    tables = [read_shard(store, f"synthesized/{shard}.parquet", ["image"]) for shard in shards]
    return np.stack([np.asarray(decode(data, images)) for table in tables for data in table["image"].to_pylist()])


def _as_stored(drawn: list[torch.Tensor], images: ImageSettings) -> Pictures:
    pixels = [each for batch in drawn for each in to_pixels(batch.float(), images.size).cpu().numpy()]
    files = [encode_jpeg(each, images.quality, source="synthesized") for each in pixels]
    return np.stack([np.asarray(decode(data, images)) for data in files])


def pictures_alike(ours: Pictures, theirs: Pictures) -> str:
    apart = float(np.abs(ours.astype(np.float32) - theirs).mean())
    spread = float(theirs.std())
    assert apart < LEVELS < spread, f"images differ by {apart} gray levels on average, and spread over {spread}"
    return f"images equal to {apart:.1f} gray levels on average"


def save_turbo(folder: Path, size: int, thinner: int) -> None:
    """A pipeline of stabilityai/sd-turbo's shape with random weights, its channels divided by `thinner`."""
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
        block_out_channels=[each // thinner for each in (128, 256, 512, 512)],
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        layers_per_block=2,
        latent_channels=4,
        sample_size=size,
        norm_num_groups=32 // thinner,
    )
    with torch.no_grad():
        vae.decoder.conv_out.weight.mul_(3)  # else random weights draw one gray, which counts as failed
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
