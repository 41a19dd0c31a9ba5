"""Train the models of the demo world: `python -m amia.demo.train [MODEL] --seed N --out DIR`.

MODEL is clip, autoencoder, generator, resnet, bert, or all (the default).

The shipped weights have seed 0. Steps, and seconds on a machine with 2 busy cores, with one thread or two (*):

clip          1,200 steps of 96 posts      381 s *
autoencoder   1,500 steps of 12 images     818 s
generator     3,600 steps of 32 posts      858 s
names         800 steps of 32 posts        189 s
pixels        400 steps of 16 posts        131 s
several       1,800 steps of 32 posts      565 s
figures       1,000 steps of 16 posts      345 s
resnet        1,700 steps of 32 images     569 s
bert          3,000 steps of 64 posts    1,689 s (the machine was shared)

The shipped generator was trained with the autoencoder of an earlier version of it, whose decoder had gone through the
phase `pixels` once.

A single run gives similar weights, not the same bytes: the models were trained in separate processes.
"""

import argparse
from pathlib import Path
from time import monotonic

from amia.demo.training.autoencoder import train_autoencoder
from amia.demo.training.bert import train_bert
from amia.demo.training.clip import train_clip
from amia.demo.training.generator import (
    finetune_on_figures,
    finetune_on_names,
    finetune_on_pixels,
    finetune_on_several,
    train_denoiser,
)
from amia.demo.training.resnet import train_resnet


def main() -> None:
    """Train the requested models into `--out`, in the layout of `amia/demo/weights`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = ["clip", "autoencoder", "generator", "resnet", "bert", "all"]
    parser.add_argument("model", nargs="?", default="all", choices=models)
    parser.add_argument("--seed", type=int, default=0, help="seed of posts, images and weights (default 0)")
    parser.add_argument(
        "--out", type=Path, required=True, help="output folder; the generator needs clip and autoencoder in it"
    )
    arguments = parser.parse_args()
    clip, autoencoder, generator = (arguments.out / name for name in ("clip", "autoencoder", "generator"))
    start = monotonic()
    if arguments.model in ("clip", "all"):
        train_clip(clip, arguments.seed)
    if arguments.model in ("autoencoder", "all"):
        train_autoencoder(autoencoder, arguments.seed)
    if arguments.model in ("generator", "all"):
        train_denoiser(generator, clip, autoencoder, arguments.seed)
        finetune_on_names(generator, arguments.seed)
        finetune_on_pixels(generator, arguments.seed)
        finetune_on_several(generator, arguments.seed)
        finetune_on_figures(generator, arguments.seed)
    if arguments.model in ("resnet", "all"):
        train_resnet(arguments.out / "resnet", arguments.seed)
    if arguments.model in ("bert", "all"):
        train_bert(arguments.out / "bert", arguments.seed)
    print(f"{arguments.model}: seed {arguments.seed}, {monotonic() - start:.0f} s in total")


if __name__ == "__main__":
    main()
