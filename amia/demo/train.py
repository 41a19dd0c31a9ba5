"""Train the weights of the drawn world anew: `python -m amia.demo.train [WHAT] --seed N --out DIR`.

WHAT is clip, generator, resnet, bert, or all (the default).

The shipped ones have seed 0. Steps, and seconds on one thread each of a machine with 2 busy cores:

clip          900 steps of 96 posts        510 s
autoencoder   1,500 steps of 12 images   910 s
generator     3,600 steps of 32 posts      1,830 s
loosening     800 steps of 32 posts        480 s
sharpening    400 steps of 16 posts        350 s
resnet        1,700 steps of 32 images   1,735 s (about 650 s of them computing: the machine was crowded)
bert          3,000 steps of 64 posts      560 s

A run in one go gives weights of the same kind, not the same bytes: the shipped phases ran as separate processes.
"""

import argparse
from pathlib import Path
from time import monotonic

from amia.demo.training.autoencoder import train_autoencoder
from amia.demo.training.bert import train_bert
from amia.demo.training.clip import train_clip
from amia.demo.training.denoiser import loosen, train_denoiser
from amia.demo.training.pixel_finetune import sharpen
from amia.demo.training.resnet import train_resnet


def main() -> None:
    """Train what was asked for into `--out`, in the layout of `amia/demo/weights`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="all", choices=["clip", "generator", "resnet", "bert", "all"])
    parser.add_argument("--seed", type=int, default=0, help="seed of posts, images and weights (default 0)")
    parser.add_argument("--out", type=Path, required=True, help="folder; the generator reads the clip folder in it")
    arguments = parser.parse_args()
    clip, generator = arguments.out / "clip", arguments.out / "generator"
    start = monotonic()
    if arguments.what in ("clip", "all"):
        train_clip(clip, arguments.seed)
    if arguments.what in ("generator", "all"):
        autoencoder = arguments.out / "autoencoder"
        train_autoencoder(autoencoder, arguments.seed)
        train_denoiser(generator, clip, autoencoder, arguments.seed)
        loosen(generator, arguments.seed)
        sharpen(generator, arguments.seed)
    if arguments.what in ("resnet", "all"):
        train_resnet(arguments.out / "resnet", arguments.seed)
    if arguments.what in ("bert", "all"):
        train_bert(arguments.out / "bert", arguments.seed)
    print(f"{arguments.what}: seed {arguments.seed}, {monotonic() - start:.0f} s in all")


if __name__ == "__main__":
    main()
