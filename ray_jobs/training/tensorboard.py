"""Curves for TensorBoard: one event file an epoch, so that any storage will do while training goes on."""

import tempfile
from pathlib import Path

from tensorboardX import SummaryWriter

from amia.mner.training.trainer import EpochReport
from ray_jobs.storage.store import Store

__all__ = ["publish_curves"]


def publish_curves(store: Store, folder: str, told: EpochReport) -> None:
    """Write an epoch's figures, unless they stand there: losses, validation scores, learning rate, posts a second."""
    values = {f"loss/{name}": value for name, value in told.loss.items()}
    values |= {f"validation/{name}": getattr(told, name) for name in ("precision", "recall", "f1")}
    values |= {"training/lr": told.lr, "training/posts_per_s": told.posts_per_s, "training/waited": told.waited}
    with tempfile.TemporaryDirectory() as scratch:
        with SummaryWriter(scratch) as writer:
            for name, value in values.items():
                writer.add_scalar(name, value, told.epoch)
        (events,) = Path(scratch).iterdir()
        # TensorBoard reads the files of a folder in the order of their names.
        store.create(f"{folder}/events.out.tfevents.{told.epoch:010d}", events.read_bytes())
