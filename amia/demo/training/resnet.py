"""Train the tiny ResNet: 1,700 steps of 32 images.

It learns to classify the visual attributes of random scenes; the classification head is discarded.
"""

import random
from pathlib import Path
from time import monotonic

import torch
import torch.nn.functional as F
from torch import nn
from transformers import ConvNextImageProcessorPil, ResNetConfig, ResNetModel

from amia.demo.training.modules import make_readable, to_half
from amia.demo.training.random_scenes import ATTRIBUTES, labeled_images
from amia.demo.training.train_loop import ScheduledOptimizer

STEPS = 1700
BATCH = 32
_CHANNELS = 160
_INPUT = 112
"""Pixels a side. A `ResNetModel` of three stages divides them by 16: the last feature map is 7 x 7, as in real ones.

Images of 64 pixels are enlarged: otherwise the first two layers would reduce them to a quarter.
"""


def train_resnet(folder: Path, seed: int, steps: int = STEPS) -> None:
    """Train a tiny ResNet on attributes and save it in `folder`, with its image processor, in float16."""
    torch.manual_seed(seed)
    sizes = (32, 64, _CHANNELS)
    model = ResNetModel(ResNetConfig(embedding_size=24, hidden_sizes=sizes, depths=(1, 2, 2), layer_type="basic"))
    _fit(model, seed, steps)
    to_half(model).save_pretrained(folder)
    _image_processor().save_pretrained(folder)
    make_readable(folder)


def _image_processor() -> ConvNextImageProcessorPil:
    """Return the image processor: the central square at 112 x 112 pixels, in [-1, 1]."""
    return ConvNextImageProcessorPil(size={"shortest_edge": _INPUT}, crop_pct=1.0)


def _fit(model: ResNetModel, seed: int, steps: int) -> None:
    rng = random.Random(f"attributes {seed}")
    processor = _image_processor()
    head = nn.Linear(_CHANNELS, len(ATTRIBUTES))
    optimizer = ScheduledOptimizer((model, 3e-3), (head, 3e-3), steps=steps, warmup=0.1, weight_decay=0.01)
    model.train()
    start = monotonic()
    for step in range(1, steps + 1):
        images, targets = labeled_images(BATCH, rng)
        pooled = model(**processor(list(images), return_tensors="pt")).pooler_output.flatten(1)
        # An image shows few of the attributes. The sum over them keeps the many zeros from dominating the mean.
        loss = F.binary_cross_entropy_with_logits(head(pooled), targets, reduction="sum") / BATCH
        optimizer.step(loss)
        if step % 100 == 0:
            print(f"resnet: step {step}/{steps}, loss {loss.item():.3f}, {monotonic() - start:.0f} s", flush=True)
