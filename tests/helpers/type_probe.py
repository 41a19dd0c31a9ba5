"""Convolutional network that tells which types of entities an image shows. It has never seen a synthesized image.

`type_probe.safetensors` has its weights. `python -m tests.helpers.type_probe` trains them again, in about a minute.
"""

import random
from pathlib import Path

import numpy as np
import torch
from PIL import ImageFilter
from safetensors.torch import load_file, save_file
from torch import nn

from amia.demo.drawing.appearance import random_variation
from amia.demo.drawing.scene import draw_photograph, draw_scene
from amia.demo.names import KINDS
from amia.demo.training.targets import SIDE, to_signed
from amia.demo.world import draw_posts

WEIGHTS = Path(__file__).with_suffix(".safetensors")
EPOCHS = 8
BATCH = 32


class TypeProbe:
    """Loads the trained weights."""

    def __init__(self):
        self._network = new_network()
        self._network.load_state_dict(load_file(WEIGHTS))
        self._network.eval()

    @torch.no_grad()
    def shown(self, images):
        """Return whether each image shows an entity of each type, bool (N, 4) in the order of `KINDS`."""
        return (self._network(_to_tensor(image.resize((SIDE, SIDE)) for image in images)) > 0).numpy()


def new_network():
    """Return the untrained network: images in [-1, 1] (N, 3, 64, 64) -> a logit of each type (N, 4)."""
    layers = []
    for inputs, outputs in ((3, 24), (24, 48), (48, 96), (96, 96)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
    layers[-1] = nn.AdaptiveMaxPool2d(1)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(96, len(KINDS)))


def draw_images(count, seed):
    """Return images of random posts and which types they show, bool (N, 4).

    Every second image is a photograph. All are blurred by 0 to 2 pixels: synthesized images are not sharp.
    """
    rng = random.Random(f"type probe {seed}")
    images, shown = [], []
    for index, post in enumerate(draw_posts(count, seed, "pretraining")):
        if index % 2:
            image = draw_photograph(post.entities, rng).image
        else:
            image = draw_scene(post.entities, random_variation(rng)).image
        images.append(image.resize((SIDE, SIDE)).filter(ImageFilter.GaussianBlur(rng.uniform(0.0, 2.0))))
        shown.append([any(entity.kind == kind for entity in post.entities) for kind in KINDS])
    return images, np.array(shown)


def train(count=6000, seed=0):
    """Return the network, trained on drawings, half of the batches mirrored."""
    torch.manual_seed(seed)
    drawn, shown = draw_images(count, seed)
    images, labels = _to_tensor(drawn), torch.from_numpy(shown).float()
    network = new_network()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    batches = count // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=EPOCHS * batches)
    for epoch in range(EPOCHS):
        for rows in torch.randperm(count)[: batches * BATCH].view(-1, BATCH):
            batch = images[rows].flip(-1) if torch.rand(()) < 0.5 else images[rows]
            loss = nn.functional.binary_cross_entropy_with_logits(network(batch), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}/{EPOCHS}, loss {loss.item():.4f}", flush=True)
    return network


def _to_tensor(images):
    return to_signed(torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2))


if __name__ == "__main__":
    save_file(train().half().state_dict(), WEIGHTS)
