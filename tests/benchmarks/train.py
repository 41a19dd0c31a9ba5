"""train: posts a second of `umt` as amia trains it against the way public code does, and the time it waits for data.

Both sides train the same model (a text encoder of bert-base's shape, a ResNet of ResNet-152's, random weights) on the
same posts, as long as Twitter-2017's, with one image of 224 x 224 each. The public way pads every post to 128 pieces
and runs the frozen backbone on every image in every epoch, from decoded pixels in memory; amia pads a batch to its
longest post, groups posts by length, and computes an image's features once, from JPEG bytes, into a cache on disk that
is empty at first.
"""

import io
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from PIL import Image
from torch.amp import GradScaler
from transformers import BertConfig, ResNetConfig

from amia.accelerator import resolve_device
from amia.mner.config import RecognizerConfig
from amia.mner.data_collator import Batch, collate
from amia.mner.features import EncodedPost, Feature
from amia.mner.image_processor import read_pixels
from amia.mner.model import RecognizerModel
from amia.mner.systems import system_of
from amia.mner.training.data import InMemoryLoader
from amia.mner.training.distributed import DistContext
from amia.mner.training.optimizer import make_optimizer, make_schedule
from amia.mner.training.settings import TrainingSettings
from amia.mner.training.trainer import TrainStep
from amia.mner.visual_features import DataCollator, FeatureCache, VisualFeatureExtractor
from amia.utils.prefetch import prefetch
from tests.benchmarks.bench import Bench
from tests.benchmarks.harness import Side, compare, figure

PADDED = 128
PIXELS = {"side": 224, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
WORDS = (15.7, 5.2)
"""Mean and standard deviation of Twitter-2017's words a post."""
PIECES_A_WORD = 1.55
"""With bert-base-cased's pieces, roughly."""
BASE_TEXT, BASE_VISUAL = BertConfig(), ResNetConfig(depths=[3, 8, 36, 3])
SMALL_TEXT = BertConfig(hidden_size=128, num_hidden_layers=3, num_attention_heads=4, intermediate_size=512)
SMALL_VISUAL = ResNetConfig(embedding_size=24, hidden_sizes=[32, 64, 160], depths=[1, 2, 2], layer_type="basic")
"""As large as the demo's, so that reading the data is most of what there is to do."""
BATCH = 8 if torch.cuda.is_available() else 3
"""On a CPU as little as has two batches an epoch: a step of models this large takes seconds there."""

Seen = tuple[int, int]
"""Optimizer steps, and posts that were learned from."""


def run(bench: Bench) -> None:
    """Epochs matter: the first one computes the features."""
    gpu = torch.cuda.is_available()
    posts, epochs = (512, 3) if gpu else (BATCH, 2) if bench.quick else (2 * BATCH, 3)
    items = make_items(posts)
    waits: list[float] = []
    sides = compare(
        f"train, umt, {epochs} epochs",
        Side(
            "amia: batches as long as their longest post, features of images once",
            lambda: ours(items, epochs, make_model(), waits),
        ),
        Side("the public way: 128 pieces a post, the frozen backbone in every epoch", lambda: public(items, epochs)),
        same_posts,
        rounds=1 if bench.quick else 2,
        slice_s=0.1,
        note=f"{posts} posts in batches of {BATCH}, bert-base and ResNet-152 shapes, {torch.get_num_threads()} "
        f"thread(s), {resolve_device('auto')}",
    )
    bench.add(sides.line)
    bench.rates["train"] = {
        "posts_per_s": posts * epochs / sides.ours_s,
        "model": "umt, bert-base and ResNet-152, random weights",
        "device": str(resolve_device("auto")),
        "threads": torch.get_num_threads(),
        "batch": BATCH,
        "epochs": epochs,
    }
    small: list[float] = []
    ours(make_items(256), 4, make_model(SMALL_TEXT, SMALL_VISUAL), small)
    for shapes, each in (("bert-base and ResNet-152", waits), ("the demo's encoders", small)):
        note = "of epochs after the first, whose features come from the disk"
        median = 100 * statistics.median(each)
        bench.add(figure(f"train, waiting for data, {shapes}", median, "%", aim=2, less=True, note=note, each=each))


def ours(items: list[Feature], epochs: int, model: RecognizerModel, waits: list[float]) -> Seen:
    """As `amia.mner.training.trainer` goes over its epochs, without looking at validation posts in between."""
    steps = posts = 0
    with tempfile.TemporaryDirectory() as scratch, FeatureCache(Path(scratch) / "features", 10**10) as cache:
        batches = DataCollator(0, VisualFeatureExtractor(model.visual, PIXELS, cache=cache))
        feed = InMemoryLoader(items, BATCH, 0, DistContext(model.device))
        stepper = stepper_of(model, epochs * feed.steps)
        for epoch in range(epochs):
            begun, waited = perf_counter(), 0.0
            shares: Iterator[list[Batch]] = prefetch([batches.of(share)] for share in feed.epoch(epoch))
            while True:
                asked = perf_counter()
                share = next(shares, None)
                waited += perf_counter() - asked
                if share is None:
                    break
                posts += int(stepper.step(share)[0])
                steps += 1
            if epoch:
                waits.append(waited / (perf_counter() - begun))
    return steps, posts


def public(items: list[Feature], epochs: int) -> Seen:
    model = make_model()
    steps = posts = 0
    pixels = torch.from_numpy(np.stack([read_pixels(item.image or b"", PIXELS) for item in items]))
    stepper = stepper_of(model, epochs * -(-len(items) // BATCH))
    for epoch in range(epochs):
        order = torch.randperm(len(items), generator=torch.Generator().manual_seed(epoch)).tolist()
        for begin in range(0, len(order), BATCH):
            places = order[begin : begin + BATCH]
            batch = padded(collate([items[place].text for place in places]), pixels[places])
            posts += int(stepper.step([batch])[0])
            steps += 1
    return steps, posts


def same_posts(ours: Seen, theirs: Seen) -> str:
    assert ours == theirs, f"steps and posts differ: {ours} and {theirs}"
    return "{} steps over {} posts each".format(*ours)


def make_model(text: BertConfig = BASE_TEXT, visual: ResNetConfig = BASE_VISUAL) -> RecognizerModel:
    torch.manual_seed(0)
    model = system_of("umt")(RecognizerConfig.of("umt", text=text, visual=visual))
    torch.nn.Module.to(model, resolve_device("auto"))
    return model.train()


def make_items(count: int) -> list[Feature]:
    chance = np.random.default_rng(0)
    items = []
    for number in range(count):
        words = int(np.clip(chance.normal(*WORDS), 3, 40))
        sizes = 1 + chance.poisson(PIECES_A_WORD - 1, words)
        first = np.concatenate([[1], 1 + np.cumsum(sizes)[:-1]])
        pieces = (101, *chance.integers(1000, 28_000, sizes.sum()).tolist(), 102)
        labels = tuple(chance.choice(9, words, p=[0.8, 0.1, 0, 0.02, 0, 0.05, 0, 0.03, 0]).tolist())
        image = io.BytesIO()
        Image.fromarray(chance.integers(0, 256, (224, 224, 3), np.uint8)).save(image, "JPEG")
        text = EncodedPost(id=str(number), labels=labels, pieces=pieces, first=tuple(first.tolist()))
        items.append(Feature(text, image.getvalue()))
    return items


def stepper_of(model: RecognizerModel, steps: int) -> TrainStep:
    settings = TrainingSettings()
    optimizer = make_optimizer(model, settings)
    schedule = make_schedule(optimizer, steps, settings.warmup)
    scaler = GradScaler(model.device.type, enabled=False)
    return TrainStep(model, optimizer, schedule, DistContext(model.device), settings.clip, torch.float32, scaler)


def padded(batch: Batch, pixels: torch.Tensor) -> Batch:
    """Pieces and words to 128, as public code has them; the backbone runs inside the model, without gradients."""

    def wide(tensor: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(tensor, (0, PADDED - tensor.shape[1]))

    for name in ("pieces", "pieces_mask", "first", "words_mask", "labels"):
        setattr(batch, name, wide(getattr(batch, name)))
    batch.pixels, batch.has_image = pixels, torch.ones(len(batch), dtype=torch.bool)
    return batch
