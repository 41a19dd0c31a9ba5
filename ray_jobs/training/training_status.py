"""Progress of the trainings in a run, mostly from names and times of the files under `models/`."""

import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from amia.utils.store_reader import ObjectInfo
from ray_jobs.storage.fingerprint import read_identity
from ray_jobs.storage.layout import CHECKPOINTS, CURVES, MODELS, TRAINING_FILE, model_folder
from ray_jobs.storage.store import Store

__all__ = ["TrainingState", "list_trainings"]

_CHECKPOINT = re.compile(rf"{CHECKPOINTS}/epoch-(\d+)/state\.json")
_CURVE = re.compile(rf"{CURVES}/events\.out\.tfevents\.(\d+)")
RECENT_EPOCHS = 4
"""Number of epochs that the time per epoch is estimated from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """Progress of one training."""

    name: str
    finished: bool
    epochs: int
    """Number of the last epoch with a checkpoint; all epochs of a finished training."""
    of_epochs: int | None
    """Maximum number of epochs; training stops earlier if it no longer improves. None once it has finished."""
    f1: float | None
    """Validation F1 of the best epoch, in [0, 1]; None before the training has finished."""
    told: float | None
    """Time at which the last epoch was recorded, in seconds since 1970."""
    epoch_s: float | None
    """Seconds per epoch, from the most recent epochs; None before the second."""


def list_trainings(store: Store) -> list[TrainingState]:
    """Return all trainings that were started, by name. Other folders under `models/` are ignored."""
    files: dict[str, dict[str, ObjectInfo]] = {}
    for key, info in store.list(MODELS).items():
        _, name, rest = [*key.split("/", 2), ""][:3]
        files.setdefault(name, {})[rest] = info
    started = sorted(name for name, model_files in files.items() if "identity.json" in model_files)
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda name: _read_state(store, name, files[name]), started))


def _read_state(store: Store, name: str, files: Mapping[str, ObjectInfo]) -> TrainingState:
    times = sorted(files[key].modified for key in files if _CURVE.fullmatch(key))
    recent = times[-RECENT_EPOCHS:]
    finished = TRAINING_FILE in files
    epochs = max((int(match[1]) for key in files if (match := _CHECKPOINT.fullmatch(key))), default=0)
    max_epochs = f1 = None
    if finished:
        summary = json.loads(store.read(f"{model_folder(name)}/{TRAINING_FILE}"))
        epochs, f1 = summary["epochs"], summary["best"]["f1"]
    elif (identity := read_identity(store, model_folder(name))) is not None:
        max_epochs = identity["settings"]["training"]["epochs"]
    return TrainingState(
        name=name,
        finished=finished,
        epochs=epochs,
        of_epochs=max_epochs,
        f1=f1,
        told=times[-1] if times else None,
        epoch_s=(recent[-1] - recent[0]) / (len(recent) - 1) if len(recent) > 1 else None,
    )
