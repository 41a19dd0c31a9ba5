"""Curves for TensorBoard: one event file per epoch, because object stores cannot append to a file."""

import tempfile
from pathlib import Path

from tensorboardX import SummaryWriter

from amia.mner.training.trainer import EpochReport
from ray_jobs.storage.store import Store

__all__ = ["publish_curves"]


def publish_curves(store: Store, folder: str, report: EpochReport) -> None:
    """Write the losses, validation scores, learning rate and speed of an epoch, unless its file exists."""
    values = {f"loss/{name}": value for name, value in report.loss.items()}
    values |= {f"validation/{name}": getattr(report, name) for name in ("precision", "recall", "f1")}
    values |= {"training/lr": report.lr, "training/posts_per_s": report.posts_per_s, "training/waited": report.waited}
    with tempfile.TemporaryDirectory() as scratch:
        with SummaryWriter(scratch) as writer:
            for name, value in values.items():
                writer.add_scalar(name, value, report.epoch)
        (events,) = Path(scratch).iterdir()
        # TensorBoard reads the files of a folder in the order of their names.
        store.create(f"{folder}/events.out.tfevents.{report.epoch:010d}", events.read_bytes())
