"""train: posts per second of `umt`, compared with the way public code trains it, and the time spent waiting for data.

Both sides train the same model (text encoder and ResNet of the shapes of bert-base and ResNet-152, random weights) on
the same posts, which are as long as those of Twitter-2017 and have one image of 224 x 224 pixels each. Public code pads
every post to 128 subwords, and runs the frozen backbone on every image in every epoch, from decoded pixels in memory.
amia groups posts by length, pads a batch to its longest post, and computes the features of an image once, from JPEG
bytes, into a cache on disk that is empty at the start.
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
from amia.mner.data_collator import Batch, DataCollator, collate
from amia.mner.features import EncodedPost, Feature
from amia.mner.image_processor import preprocess_image
from amia.mner.model import RecognizerModel
from amia.mner.systems import get_system
from amia.mner.training.data import InMemoryLoader
from amia.mner.training.distributed import DistContext
from amia.mner.training.optimizer import make_optimizer, make_schedule
from amia.mner.training.settings import TrainingSettings
from amia.mner.training.trainer import TrainStep
from amia.mner.visual_features import FeatureCache, VisualFeatureExtractor
from amia.utils.prefetch import prefetch
from tests.benchmarks.bench import Bench
from tests.benchmarks.harness import Side, compare, figure

PADDED_LENGTH = 128
PIXELS = {"side": 224, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
WORDS = (15.7, 5.2)
"""Mean and standard deviation of the words per post of Twitter-2017."""
SUBWORDS_PER_WORD = 1.55
"""Approximate value for the tokenizer of bert-base-cased."""
BASE_TEXT, BASE_VISUAL = BertConfig(), ResNetConfig(depths=[3, 8, 36, 3])
SMALL_TEXT = BertConfig(hidden_size=128, num_hidden_layers=3, num_attention_heads=4, intermediate_size=512)
SMALL_VISUAL = ResNetConfig(embedding_size=24, hidden_sizes=[32, 64, 160], depths=[1, 2, 2], layer_type="basic")
"""As small as the demo's, so that reading the data dominates."""
BATCH = 8 if torch.cuda.is_available() else 3
"""Small on a CPU, where a step of models this large takes seconds."""

StepsAndPosts = tuple[int, int]
"""Number of optimizer steps, and of posts summed over all steps."""


def run(bench: Bench) -> None:
    """Measure several epochs: the first one computes the features."""
    gpu = torch.cuda.is_available()
    posts, epochs = (512, 3) if gpu else (BATCH, 2) if bench.quick else (2 * BATCH, 3)
    features = make_features(posts)
    waits: list[float] = []
    sides = compare(
        f"train, umt, {epochs} epochs",
        Side(
            "amia: batches padded to their longest post, features of images computed once",
            lambda: train_like_amia(features, epochs, make_model(), waits),
        ),
        Side(
            "public code: 128 subwords per post, the frozen backbone in every epoch",
            lambda: train_like_public_code(features, epochs),
        ),
        check_steps,
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
    small_waits: list[float] = []
    train_like_amia(make_features(256), 4, make_model(SMALL_TEXT, SMALL_VISUAL), small_waits)
    for shapes, fractions in (("bert-base and ResNet-152", waits), ("the demo's encoders", small_waits)):
        note = "of epochs after the first, which read features from the disk"
        median = 100 * statistics.median(fractions)
        bench.add(
            figure(f"train, waiting for data, {shapes}", median, "%", aim=2, less=True, note=note, each=fractions)
        )


def train_like_amia(features: list[Feature], epochs: int, model: RecognizerModel, waits: list[float]) -> StepsAndPosts:
    """Run epochs like `amia.mner.training.trainer`, without validation. Append waiting times (fractions) to `waits`."""
    steps = posts = 0
    with tempfile.TemporaryDirectory() as scratch, FeatureCache(Path(scratch) / "features", 10**10) as cache:
        collator = DataCollator(0, VisualFeatureExtractor(model.visual, PIXELS, cache=cache))
        loader = InMemoryLoader(features, BATCH, 0, DistContext(model.device))
        train_step = make_train_step(model, epochs * loader.steps_per_epoch)
        for epoch in range(epochs):
            start, waited = perf_counter(), 0.0
            batches: Iterator[list[Batch]] = prefetch([collator(share)] for share in loader.iter_epoch(epoch))
            while True:
                request = perf_counter()
                batch = next(batches, None)
                waited += perf_counter() - request
                if batch is None:
                    break
                posts += int(train_step(batch)[0])
                steps += 1
            if epoch:
                waits.append(waited / (perf_counter() - start))
    return steps, posts


def train_like_public_code(features: list[Feature], epochs: int) -> StepsAndPosts:
    """Train on random batches that are padded to 128 subwords, with decoded pixels in memory."""
    model = make_model()
    steps = posts = 0
    pixels = torch.from_numpy(np.stack([preprocess_image(feature.image or b"", PIXELS) for feature in features]))
    train_step = make_train_step(model, epochs * -(-len(features) // BATCH))
    for epoch in range(epochs):
        order = torch.randperm(len(features), generator=torch.Generator().manual_seed(epoch)).tolist()
        for offset in range(0, len(order), BATCH):
            indices = order[offset : offset + BATCH]
            batch = pad_to_maximum(collate([features[index].encoded for index in indices]), pixels[indices])
            posts += int(train_step([batch])[0])
            steps += 1
    return steps, posts


def check_steps(ours: StepsAndPosts, theirs: StepsAndPosts) -> str:
    assert ours == theirs, f"steps and posts differ: {ours} and {theirs}"
    return "{} steps over {} posts each".format(*ours)


def make_model(text: BertConfig = BASE_TEXT, visual: ResNetConfig = BASE_VISUAL) -> RecognizerModel:
    torch.manual_seed(0)
    model = get_system("umt")(RecognizerConfig.create("umt", text=text, visual=visual))
    torch.nn.Module.to(model, resolve_device("auto"))
    return model.train()


def make_features(count: int) -> list[Feature]:
    """Return random posts with images."""
    rng = np.random.default_rng(0)
    features = []
    for number in range(count):
        words = int(np.clip(rng.normal(*WORDS), 3, 40))
        subwords = 1 + rng.poisson(SUBWORDS_PER_WORD - 1, words)
        first_subwords = np.concatenate([[1], 1 + np.cumsum(subwords)[:-1]])
        input_ids = (101, *rng.integers(1000, 28_000, subwords.sum()).tolist(), 102)
        labels = tuple(rng.choice(9, words, p=[0.8, 0.1, 0, 0.02, 0, 0.05, 0, 0.03, 0]).tolist())
        image = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (224, 224, 3), np.uint8)).save(image, "JPEG")
        encoded = EncodedPost(
            id=str(number), labels=labels, input_ids=input_ids, first_subwords=tuple(first_subwords.tolist())
        )
        features.append(Feature(encoded, image.getvalue()))
    return features


def make_train_step(model: RecognizerModel, steps: int) -> TrainStep:
    settings = TrainingSettings()
    optimizer = make_optimizer(model, settings)
    schedule = make_schedule(optimizer, steps, settings.warmup)
    scaler = GradScaler(model.device.type, enabled=False)
    return TrainStep(model, optimizer, schedule, DistContext(model.device), settings.clip, torch.float32, scaler)


def pad_to_maximum(batch: Batch, pixels: torch.Tensor) -> Batch:
    """Pad subwords and words to 128. The backbone runs inside the model, without gradients."""

    def pad(tensor: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(tensor, (0, PADDED_LENGTH - tensor.shape[1]))

    for name in ("input_ids", "attention_mask", "first_subwords", "word_mask", "labels"):
        setattr(batch, name, pad(getattr(batch, name)))
    batch.pixel_values, batch.has_image = pixels, torch.ones(len(batch), dtype=torch.bool)
    return batch
