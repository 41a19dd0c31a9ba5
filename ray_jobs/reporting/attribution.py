"""Which models had a part in a run."""

from collections.abc import Sequence

from amia.hub import resolve_path, weights_identity
from amia.report.attribution import Attribution
from ray_jobs.reporting.training import ModelSummary
from ray_jobs.storage.arm import Arm

__all__ = ["models_used"]

SHIPPED = ("demo:bert", "demo:resnet")


def models_used(arm: Arm, encoder: str | None, trainings: Sequence[ModelSummary]) -> list[Attribution]:
    """`encoder`: identity of the weights that compared text and image, None where nothing was compared."""
    used = []
    if encoder is not None:
        used.append(Attribution(role="Encoder", name=arm.manifest["settings"]["clip"]["model"], weights=encoder))
    if arm.generator is not None:
        used.append(arm.generator)
    encoders = sorted({pair for training in trainings for pair in training.encoders.items()})
    return used + [
        Attribution(role=f"Recognizers' {role}", name=_name(weights), weights=weights) for role, weights in encoders
    ]


def _name(weights: str) -> str:
    """`name@commit` by its name; a folder's weights where they are ours."""
    if not weights.startswith("sha256:"):
        return weights.partition("@")[0]
    found = (name for name in SHIPPED if weights_identity(name, resolve_path(name)) == weights)
    return next(found, "a folder")
