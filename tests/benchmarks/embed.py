"""embed: posts per second of the stage, compared with the forward pass alone, with its inputs in memory."""

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
from tests.benchmarks.environment import gpu_plan
from tests.benchmarks.harness import Side, compare
from tests.benchmarks.runs import demo_run, local_ray, one_actor

MAX_DIFFERENCE = 2e-3
"""Upper bound of the rounding error of unit vectors that are stored as float16."""

Vectors = np.ndarray
"""`[n, 2, d]`: unit vectors of texts and of images."""


def run(bench: Bench) -> None:
    """Measure the demo's CLIP, and one of the shape of ViT-B/16 with random weights."""
    gpu = torch.cuda.is_available()
    with bench.scratch() as scratch, local_ray():
        _compare_with_forward(bench, scratch / "demo", "demo CLIP", CLIP_DIR, posts=1024, aim=0.8)
        save_vit_b_16(scratch / "vit-b-16")
        posts = 4096 if gpu else 18
        _compare_with_forward(bench, scratch / "large", "ViT-B/16", scratch / "vit-b-16", posts=posts, aim=0.95)


def _compare_with_forward(bench: Bench, folder: Path, name: str, model: Path, *, posts: int, aim: float) -> None:
    gpu, demo = torch.cuda.is_available(), model == CLIP_DIR
    threads = 1 if demo or gpu else torch.get_num_threads()
    # Use shards of the demo's size, and enough of them that loading and publishing overlap with the model most of the
    # time. The few posts of the large model are split into as many shards as possible.
    settings = load_settings("demo", [] if demo else [f"per_shard={min(512, posts // 8)}"])
    store, plan = demo_run(folder, settings, posts, image_size=None if demo else 320)
    shards = plan.shards_of("train")
    clip = ClipSettings(model=str(model), micro_batch=64 if gpu or demo else 8)
    stage = Embed(store, clip=clip, images=settings.image, threads=threads, weights="bench", posts="bench")
    work, undo = one_actor(stage, shards)
    encoder: Any = ClipEncoder.load(clip, local_files_only=True)
    torch.set_num_threads(threads)
    inputs = _prepare_inputs(encoder, store, shards, settings.image)

    @torch.inference_mode()
    def forward() -> list[tuple[torch.Tensor, torch.Tensor]]:
        model = encoder._model
        return [
            (
                model.get_text_features(**tokens).pooler_output,
                model.get_image_features(pixel_values=pixels).pooler_output,
            )
            for tokens, pixels in inputs
        ]

    count = plan.posts["train"]
    sides = compare(
        f"embed, {name}",
        Side("amia: the stage, shards in, shards out", work, lambda _: _read_vectors(store, shards), undo),
        Side("the forward pass alone, inputs in memory", forward, _normalize),
        check_vectors,
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


def _prepare_inputs(
    encoder: Any, store: Store, shards: Sequence[str], images: ImageSettings
) -> list[tuple[Any, torch.Tensor]]:
    """Return the inputs of the model on its device. As in the stage, micro-batches do not cross shards."""
    inputs = []
    step, device = encoder._settings.micro_batch, encoder._model.device
    for shard in shards:
        posts = read_shard(store, f"posts/{shard}.parquet", ["text", "image"])
        texts = [clean_text(text) for text in posts["text"].to_pylist()]
        pixel_images = [decode(image["bytes"], images) for image in posts["image"].to_pylist()]
        for start in range(0, len(texts), step):
            tokens = encoder._tokenizer(
                texts[start : start + step],
                padding="max_length",
                max_length=encoder._max_tokens,
                truncation=True,
                return_tensors="pt",
            )
            pixels = encoder._processor(pixel_images[start : start + step], return_tensors="pt")["pixel_values"]
            inputs.append((tokens.to(device), pixels.to(device, encoder._model.dtype)))
    return inputs


def _read_vectors(store: Store, shards: Sequence[str]) -> Vectors:
    tables = [read_shard(store, f"embeddings/{shard}.parquet") for shard in shards]
    columns = [
        [np.frombuffer(vector, "<f2") for table in tables for vector in table[column].to_pylist()]
        for column in ("text_vector", "image_vector")
    ]
    return np.stack([np.stack(column) for column in columns], 1).astype(np.float32)


def _normalize(features: list[tuple[torch.Tensor, torch.Tensor]]) -> Vectors:
    both = [torch.cat(batches).float() for batches in zip(*features, strict=True)]
    return torch.stack([torch.nn.functional.normalize(vectors, dim=-1) for vectors in both], 1).cpu().numpy()


def check_vectors(ours: Vectors, theirs: Vectors) -> str:
    difference = float(np.abs(ours - theirs).max())
    assert difference < MAX_DIFFERENCE, f"vectors differ by {difference}"
    return f"vectors equal to {difference:.0e}, stored as float16"


def save_vit_b_16(folder: Path) -> None:
    """Save a CLIP of the shape of openai/clip-vit-base-patch16 with random weights and the demo's tokenizer."""
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(CLIP_DIR)
    tokenizer.model_max_length = 77
    special = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {"pad_token_id": tokenizer.pad_token_id, **special}
    CLIPModel(CLIPConfig(text_config=text, vision_config={"patch_size": 16})).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224}).save_pretrained(folder)
