"""The run's trained recognizers and experiments, as they say of themselves."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amia.errors import RunError
from amia.report.experiment_tables import Experiment, read_tables
from amia.report.view_models import TrainedCurve
from ray_jobs.storage.layout import EXPERIMENTS, MODELS, TRAINING_FILE
from ray_jobs.storage.store import Store

__all__ = ["ModelSummary", "curves", "experiments", "trained"]

# Named here once more, since the modules that write them load torch.
METRICS = "metrics.jsonl"
MOST_TRAININGS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """A finished training of the run."""

    name: str
    """Of its folder in models/, and in predictions/."""
    system: str
    seed: int
    arm: str
    encoders: Mapping[str, str]
    """What it started from, by role: `name@commit`, or `sha256:...` of a folder's weights."""
    settings: str
    """Everything that it depends on but its posts, as JSON: equal for trainings that differ in their arm alone."""


def trained(store: Store) -> list[ModelSummary]:
    """All that `amia train` has finished here, by name. Raises RunError when a description is not readable."""
    found = []
    for key in sorted(store.list(MODELS)):
        folder, _, file = key.rpartition("/")
        if file != TRAINING_FILE or folder.count("/") != 1:
            continue
        try:
            identity: dict[str, Any] = json.loads(store.read(key)).get("identity", {})
            if not identity:
                continue  # a recognizer that was brought here, not trained
            settings = identity["settings"]
            found.append(
                ModelSummary(
                    name=folder.partition("/")[2],
                    system=str(settings["system"]),
                    seed=int(settings["training"]["seed"]),
                    arm=str(identity["input"]["arm"]),
                    encoders={str(role): str(name) for role, name in settings["encoders"].items()},
                    settings=json.dumps(settings, sort_keys=True),
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{key} in {store.address} was not written by amia: {error!r}") from error
    return found


def curves(store: Store, models: Sequence[ModelSummary]) -> list[TrainedCurve]:
    """Validation F1 by epoch, of MOST_TRAININGS trainings at most; of those that are alike in everything, of one."""
    found = []
    unlike = {(model.settings, model.arm): model for model in models}
    for model in list(unlike.values())[:MOST_TRAININGS]:
        key = f"{MODELS}/{model.name}/{METRICS}"
        if not store.exists(key):
            continue
        try:
            f1 = [float(json.loads(line)["f1"]) for line in store.read(key).decode().splitlines()]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{key} in {store.address} was not written by amia: {error!r}") from error
        if f1:
            found.append(TrainedCurve(name=model.name, system=model.system, arm=model.arm, seed=model.seed, f1=f1))
    return found


def experiments(store: Store) -> list[Experiment]:
    """The tables of every experiment of the run, by name."""
    keys = [key for key in sorted(store.list(EXPERIMENTS)) if key.endswith("/tables.json") and key.count("/") == 2]
    return [read_tables(store.read(key), f"{key} in {store.address}") for key in keys]
