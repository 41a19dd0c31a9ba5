"""Which models had a part in a run, by name, licence and weights."""

from collections.abc import Sequence
from pathlib import Path

from amia import demo
from amia.mixing.ratio import needs_synthesis
from amia.report.content import ModelUsed
from amia.report.licences import licence_of
from amia.weights import identity_of
from ray_jobs.reporting.training import Trained
from ray_jobs.training.labelled import Arm

__all__ = ["models_used"]

SHIPPED = {"demo:bert": demo.BERT_DIR, "demo:resnet": demo.RESNET_DIR}


def models_used(arm: Arm, encoder: str | None, trainings: Sequence[Trained]) -> list[ModelUsed]:
    """`encoder`: identity of the weights that compared text and image, None where nothing was compared."""
    settings = arm.manifest["settings"]
    used = []
    if encoder is not None:
        used.append(_used("compares text and image", settings["clip"]["model"], encoder))
    if needs_synthesis(arm.name):
        used.append(_used("draws images", settings["generator"]["model"], arm.manifest["generator"] or ""))
    encoders = sorted({pair for training in trainings for pair in training.encoders.items()})
    return used + [_used(f"{role} of recognisers", _name(identity), identity) for role, identity in encoders]


def _used(role: str, name: str, identity: str) -> ModelUsed:
    return ModelUsed(role=role, name=name, licence=licence_of(name), identity=identity)


def _name(identity: str) -> str:
    """`name@commit` by its name; a folder's weights where they are ours."""
    if not identity.startswith("sha256:"):
        return identity.partition("@")[0]
    found = (name for name, folder in SHIPPED.items() if identity_of(str(folder), Path(folder)) == identity)
    return next(found, "a folder")
