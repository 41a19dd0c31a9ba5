"""Trained recognizers of a run: their descriptions, curves and encoders; and the tables of its experiments."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amia.errors import RunError
from amia.hub import resolve_path, weights_identity
from amia.report.attribution import Attribution
from amia.report.experiment_tables import ExperimentTables, parse_tables
from amia.report.view_models import TrainingCurve
from ray_jobs.storage.arm import Arm
from ray_jobs.storage.layout import EXPERIMENTS, MODELS, TRAINING_FILE
from ray_jobs.storage.store import Store

__all__ = ["ModelSummary", "list_attributions", "read_curves", "read_experiments", "read_models"]

# Defined here because the module that writes the file imports torch.
METRICS_FILE = "metrics.jsonl"
MAX_CURVES = 200
DEMO_ENCODERS = ("demo:bert", "demo:resnet")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """A recognizer trained in the run."""

    name: str
    """Name of its folder in `models/` and `predictions/`."""
    system: str
    seed: int
    arm: str
    encoders: Mapping[str, str]
    """Identity of the pretrained weights by role: `name@commit`, or `sha256:...` for a local folder."""
    settings: str
    """All settings of the training as JSON: equal for trainings that differ only in their posts."""


def read_models(store: Store) -> list[ModelSummary]:
    """Return all recognizers trained by `amia train`, by name. Raises RunError if a description is invalid."""
    models = []
    for key in sorted(store.list(MODELS)):
        folder, _, file = key.rpartition("/")
        if file != TRAINING_FILE or folder.count("/") != 1:
            continue
        try:
            identity: dict[str, Any] = json.loads(store.read(key)).get("identity", {})
            if not identity:
                continue  # copied from elsewhere, not trained in this run
            settings = identity["settings"]
            models.append(
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
    return models


def read_curves(store: Store, models: Sequence[ModelSummary]) -> list[TrainingCurve]:
    """Return validation F1 by epoch of at most MAX_CURVES trainings; identical trainings are included once."""
    curves = []
    unique = {(model.settings, model.arm): model for model in models}
    for model in list(unique.values())[:MAX_CURVES]:
        key = f"{MODELS}/{model.name}/{METRICS_FILE}"
        if not store.exists(key):
            continue
        try:
            f1 = [float(json.loads(line)["f1"]) for line in store.read(key).decode().splitlines()]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{key} in {store.address} was not written by amia: {error!r}") from error
        if f1:
            curves.append(TrainingCurve(name=model.name, system=model.system, arm=model.arm, seed=model.seed, f1=f1))
    return curves


def list_attributions(arm: Arm, encoder: str | None, models: Sequence[ModelSummary]) -> list[Attribution]:
    """Return all models used in the run.

    Args:
        arm: The arm to report on, with its generator.
        encoder: Identity of the weights that matched images and texts; None without matching.
        models: Trained recognizers, with the encoders that they started from.
    """
    attributions = []
    if encoder is not None:
        name = arm.manifest["settings"]["clip"]["model"]
        attributions.append(Attribution(role="Encoder", name=name, weights=encoder))
    if arm.generator is not None:
        attributions.append(arm.generator)
    encoders = sorted({item for model in models for item in model.encoders.items()})
    return attributions + [
        Attribution(role=f"Recognizer ({role})", name=_encoder_name(weights), weights=weights)
        for role, weights in encoders
    ]


def read_experiments(store: Store) -> list[ExperimentTables]:
    """Return the tables of all experiments of the run, by name."""
    keys = [key for key in sorted(store.list(EXPERIMENTS)) if key.endswith("/tables.json") and key.count("/") == 2]
    return [parse_tables(store.read(key), f"{key} in {store.address}") for key in keys]


def _encoder_name(weights: str) -> str:
    """Return the name in `name@commit`, or the name of a demo encoder with these weights."""
    if not weights.startswith("sha256:"):
        return weights.partition("@")[0]
    names = (name for name in DEMO_ENCODERS if weights_identity(name, resolve_path(name)) == weights)
    return next(names, "local folder")
