"""Tests of reading the trained recognizers of a run."""

from ray_jobs.reporting.models import read_curves, read_models
from tests.helpers.written_runs import WrittenRun


def test_training_curves(written: WrittenRun) -> None:
    by_name = {curve.name: curve for curve in read_curves(written.store, read_models(written.store))}
    assert len(by_name) == 4
    curve = by_name["bert-crf-adaptive-seed1"]
    assert curve.f1 == [0.1, 0.6, 0.4]
    assert (curve.arm, curve.seed) == ("adaptive", 1)
    assert curve.best == 0.6
