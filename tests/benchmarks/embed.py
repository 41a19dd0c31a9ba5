"""embed: posts a second of the stage against the bare forward pass of the same model, its inputs ready in memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from amia.demo import CLIP_DIR
from amia.images import ImageSettings, decode
from amia.matching.clip import ClipEncoder
from amia.matching.settings import ClipSettings
from amia.text import clean_text
from ray_jobs.settings.job import load_settings
from ray_jobs.stages.embed import Embed
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store
from tests.benchmarks.bench import Bench
from tests.benchmarks.facts import gpu_plan
from tests.benchmarks.harness import Side, compare
from tests.benchmarks.runs import demo_run, local_ray, one_actor

HALF = 2e-3
"""What storing unit vectors as float16 moves them by, at most."""

Vectors = np.ndarray
"""`[n, 2, d]`: unit vectors of texts and of images."""


def run(bench: Bench) -> None:
    """The demo's CLIP, and one of ViT-B/16's shape with random weights."""
    gpu = torch.cuda.is_available()
    with bench.scratch() as scratch, local_ray():
        _against_forward(bench, scratch / "demo", "demo CLIP", CLIP_DIR, posts=1024, aim=0.8)
        save_vit_b_16(scratch / "vit-b-16")
        few = 4096 if gpu else 18
        _against_forward(bench, scratch / "large", "ViT-B/16", scratch / "vit-b-16", posts=few, aim=0.95)


def _against_forward(bench: Bench, folder: Path, name: str, model: Path, *, posts: int, aim: float) -> None:
    gpu, demo = torch.cuda.is_available(), model == CLIP_DIR
    threads = 1 if demo or gpu else torch.get_num_threads()
    # Shards as large as the demo's, and enough of them that loading ahead and publishing behind are most of the time at
    # work; the large model's few posts make as many as they can.
    settings = load_settings("demo", [] if demo else [f"per_shard={min(512, posts // 8)}"])
    store, plan = demo_run(folder, settings, posts, enlarged=None if demo else 320)
    shards = plan.shards_of("train")
    clip = ClipSettings(model=str(model), micro_batch=64 if gpu or demo else 8)
    stage = Embed(store, clip=clip, images=settings.image, threads=threads, weights="bench", posts="bench")
    work, undo = one_actor(stage, shards)
    encoder: Any = ClipEncoder.load(clip, local_files_only=True)
    torch.set_num_threads(threads)
    inputs = _inputs(encoder, store, shards, settings.image)

    @torch.inference_mode()
    def forward() -> list[tuple[torch.Tensor, torch.Tensor]]:
        net = encoder._model
        return [
            (net.get_text_features(**tokens).pooler_output, net.get_image_features(pixel_values=pixels).pooler_output)
            for tokens, pixels in inputs
        ]

    count = plan.posts["train"]
    sides = compare(
        f"embed, {name}",
        Side("amia, the stage: shards in, shards out", work, lambda _: _stored(store, shards), undo),
        Side("the bare forward pass, inputs ready in memory", forward, _units),
        vectors_alike,
        aim=aim,
        rounds=bench.rounds(5 if demo else 3),
        slice_s=1.0,
        note=f"{count} posts in {len(shards)} shards, micro-batch {clip.micro_batch}, {threads} thread(s), "
        f"{encoder._model.device}",
    )
    bench.add(sides.line)
    bench.rates["embed" if demo else "embed.vit-b-16"] = {
        "posts_per_s": count / sides.ours_s,
        "model": "demo:clip" if demo else "ViT-B/16, random weights",
        "device": str(encoder._model.device),
        "dtype": str(encoder._model.dtype),
        "threads": threads,
        "micro_batch": clip.micro_batch,
    }
    if gpu and not demo:
        bench.plan = gpu_plan("embeddings", sides.theirs_s / count, f"{name}, random weights")


def _inputs(encoder: Any, store: Store, shards: Sequence[str], images: ImageSettings) -> list[tuple[Any, torch.Tensor]]:
    """Micro-batches as the model takes them, on its device; like the stage's, they never cross a shard."""
    ready = []
    step, device = encoder._settings.micro_batch, encoder._model.device
    for shard in shards:
        posts = read_shard(store, f"posts/{shard}.parquet", ["text", "image"])
        texts = [clean_text(text) for text in posts["text"].to_pylist()]
        pictures = [decode(image["bytes"], images) for image in posts["image"].to_pylist()]
        for start in range(0, len(texts), step):
            tokens = encoder._tokenizer(
                texts[start : start + step],
                padding="max_length",
                max_length=encoder._max_tokens,
                truncation=True,
                return_tensors="pt",
            )
            pixels = encoder._processor(pictures[start : start + step], return_tensors="pt")["pixel_values"]
            ready.append((tokens.to(device), pixels.to(device, encoder._model.dtype)))
    return ready


def _stored(store: Store, shards: Sequence[str]) -> Vectors:
    tables = [read_shard(store, f"embeddings/{shard}.parquet") for shard in shards]
    columns = [
        [np.frombuffer(each, "<f2") for table in tables for each in table[column].to_pylist()]
        for column in ("text_vector", "image_vector")
    ]
    return np.stack([np.stack(column) for column in columns], 1).astype(np.float32)


def _units(features: list[tuple[torch.Tensor, torch.Tensor]]) -> Vectors:
    both = [torch.cat(each).float() for each in zip(*features, strict=True)]
    return torch.stack([torch.nn.functional.normalize(each, dim=-1) for each in both], 1).cpu().numpy()


def vectors_alike(ours: Vectors, theirs: Vectors) -> str:
    worst = float(np.abs(ours - theirs).max())
    assert worst < HALF, f"vectors differ by {worst}"
    return f"vectors equal to {worst:.0e}, stored as float16"


def save_vit_b_16(folder: Path) -> None:
    """A CLIP of openai/clip-vit-base-patch16's shape with random weights, and the demo's words."""
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(CLIP_DIR)
    tokenizer.model_max_length = 77
    words = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {"pad_token_id": tokenizer.pad_token_id, **words}
    CLIPModel(CLIPConfig(text_config=text, vision_config={"patch_size": 16})).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224}).save_pretrained(folder)
