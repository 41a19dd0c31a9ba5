"""Training posts a second: `umt` as amia trains it against the way public code does.

    python tests/benchmarks/bench_train.py [--posts 32] [--epochs 3] [--rounds 1]

Both sides train the same model (a text encoder of bert-base's shape, a ResNet of ResNet-152's, random weights) on the
same posts, as long as Twitter-2017's, with one image of 224 x 224 each, in batches of `--batch`. The public way pads
every post to 128 pieces and runs the frozen backbone on every image in every epoch, from decoded pixels in memory; amia
pads a batch to its longest post, groups posts by length, and computes an image's features once, from JPEG bytes, into a
cache on disk that is empty at first. Optimizer steps are counted on both sides.
"""

import argparse
import io
import platform
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from PIL import Image
from torch.amp import GradScaler
from transformers import BertConfig, ResNetConfig

from amia.mner.batch import Batch, collate
from amia.mner.config import RecogniserConfig
from amia.mner.encoded import Encoded
from amia.mner.examples import Item
from amia.mner.feature_cache import FeatureCache
from amia.mner.model import RecogniserModel
from amia.mner.pixels import read_pixels
from amia.mner.seeing import Batches, Seeing
from amia.mner.systems import system_of
from amia.mner.training.feeds import MemoryFeed
from amia.mner.training.optimizing import make_optimizer, make_schedule
from amia.mner.training.prefetch import prefetched
from amia.mner.training.settings import TrainingSettings
from amia.mner.training.step import Stepper
from amia.mner.training.world import World

PADDED = 128
PIXELS = {"side": 224, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
WORDS = (15.7, 5.2)
"""Mean and standard deviation of Twitter-2017's words a post."""
PIECES_A_WORD = 1.55
"""With bert-base-cased's pieces, roughly."""


def make_model(seed: int = 0) -> RecogniserModel:
    torch.manual_seed(seed)
    visual = ResNetConfig(depths=[3, 8, 36, 3])
    return system_of("umt")(RecogniserConfig.of("umt", text=BertConfig(), visual=visual))


def make_items(count: int) -> list[Item]:
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
        text = Encoded(id=str(number), labels=labels, pieces=pieces, first=tuple(first.tolist()))
        items.append(Item(text, image.getvalue()))
    return items


def stepper_of(model: RecogniserModel, steps: int) -> Stepper:
    settings = TrainingSettings()
    optimizer = make_optimizer(model, settings)
    schedule = make_schedule(optimizer, steps, settings.warmup)
    scaler = GradScaler("cpu", enabled=False)
    return Stepper(model, optimizer, schedule, World(torch.device("cpu")), settings.clip, torch.float32, scaler)


def ours(items: list[Item], batch: int, epochs: int) -> float:
    model = make_model()
    model.train()
    with tempfile.TemporaryDirectory() as scratch, FeatureCache(Path(scratch) / "features", 10**10) as cache:
        batches = Batches(0, Seeing(model.visual, PIXELS, cache=cache))
        feed = MemoryFeed(items, batch, 0, World(torch.device("cpu")))
        stepper = stepper_of(model, epochs * feed.steps)
        start = perf_counter()
        for epoch in range(epochs):
            for share in prefetched([batches.of(share)] for share in feed.epoch(epoch)):
                stepper.step(share)
        return perf_counter() - start


def public(items: list[Item], batch: int, epochs: int) -> float:
    model = make_model()
    model.train()
    pixels = torch.from_numpy(np.stack([read_pixels(item.image or b"", PIXELS) for item in items]))
    stepper = stepper_of(model, epochs * -(-len(items) // batch))
    start = perf_counter()
    for epoch in range(epochs):
        order = torch.randperm(len(items), generator=torch.Generator().manual_seed(epoch)).tolist()
        for begin in range(0, len(order), batch):
            places = order[begin : begin + batch]
            stepper.step([padded(collate([items[place].text for place in places]), pixels[places])])
    return perf_counter() - start


def padded(batch: Batch, pixels: torch.Tensor) -> Batch:
    """Pieces and words to 128, as public code has them; the backbone runs inside the model, without gradients."""

    def wide(tensor: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(tensor, (0, PADDED - tensor.shape[1]))

    for name in ("pieces", "pieces_mask", "first", "words_mask", "labels"):
        setattr(batch, name, wide(getattr(batch, name)))
    batch.pixels, batch.has_image = pixels, torch.ones(len(batch), dtype=torch.bool)
    return batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    items = make_items(chosen.posts)
    ratios = []
    for _ in range(chosen.rounds):
        mine, theirs = ours(items, chosen.batch, chosen.epochs), public(items, chosen.batch, chosen.epochs)
        ratios.append(theirs / mine)
        print(f"amia {mine:.1f} s, public way {theirs:.1f} s, ratio {ratios[-1]:.2f}", flush=True)
    pieces = statistics.mean(item.text.length for item in items)
    shapes = f"{chosen.posts} posts of {pieces:.0f} pieces, {chosen.epochs} epochs"
    print(f"| umt, bert-base and ResNet-152 shapes | {shapes} |")
    print(f"| training posts/s, amia : public way | {statistics.median(ratios):.2f} (median of {chosen.rounds}) |")
    print(f"| machine | {platform.machine()}, {chosen.threads} threads, torch {torch.__version__} |")


if __name__ == "__main__":
    main()
