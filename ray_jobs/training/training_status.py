"""The trainings of a run, as its `models/` folder tells of them: by names and times of files, hardly reading any."""

import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ray_jobs.storage.fingerprint import read_identity
from ray_jobs.storage.layout import MODELS, TRAINING_FILE, model_folder
from ray_jobs.storage.store import ObjectInfo, Store

__all__ = ["TrainingState", "trainings"]

_STATE = re.compile(r"checkpoints/epoch-(\d+)/state\.json")
_CURVE = re.compile(r"tensorboard/events\.out\.tfevents\.(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """How far one training is."""

    name: str
    finished: bool
    epochs: int
    """Epochs whose state is kept, so that a training can go on after them; of a finished one, all it took."""
    of_epochs: int | None
    """Epochs that it may take; it may end earlier, when it no longer improves. None where it is finished."""
    f1: float | None
    """On the validation posts, in [0, 1], of the best epoch; None before the training has finished."""
    told: float | None
    """When the last epoch was kept, in seconds since 1970."""
    epoch_s: float | None
    """Seconds an epoch took of late; None before the second."""


def trainings(store: Store) -> list[TrainingState]:
    """Every training that was begun, by name; whatever else lies in `models/` is none."""
    files: dict[str, dict[str, ObjectInfo]] = {}
    for key, about in store.list(MODELS).items():
        _, name, rest = [*key.split("/", 2), ""][:3]
        files.setdefault(name, {})[rest] = about
    begun = sorted(name for name, held in files.items() if "identity.json" in held)
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda name: _state(store, name, files[name]), begun))


def _state(store: Store, name: str, files: Mapping[str, ObjectInfo]) -> TrainingState:
    curves = sorted(files[key].modified for key in files if _CURVE.fullmatch(key))
    of_late = curves[-4:]
    epoch_s = (of_late[-1] - of_late[0]) / (len(of_late) - 1) if len(of_late) > 1 else None
    told = curves[-1] if curves else None
    kept = max((int(found[1]) for key in files if (found := _STATE.fullmatch(key))), default=0)
    most = f1 = None
    if TRAINING_FILE in files:
        about = json.loads(store.read(f"{MODELS}/{name}/{TRAINING_FILE}"))
        kept, f1 = about["epochs"], about["best"]["f1"]
    elif (identity := read_identity(store, model_folder(name))) is not None:
        most = identity["settings"]["training"]["epochs"]
    return TrainingState(
        name=name, finished=TRAINING_FILE in files, epochs=kept, of_epochs=most, f1=f1, told=told, epoch_s=epoch_s
    )
