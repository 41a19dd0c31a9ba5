"""Cells of an experiment: one recognizer, trained on one arm of one data set with one seed, and its evaluations.

A cell is named after everything that its result depends on, so that several tables share it, and no cell is computed
twice.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from amia.experiments.results import CellResult
from amia.experiments.run_specs import RunSpec, run_specs
from amia.mner.builder import encoder_identities
from amia.mner.systems import get_system
from ray_jobs.jobs.context import RunContext
from ray_jobs.jobs.evaluate import publish_scores, read_scored_posts
from ray_jobs.jobs.predict import run_prediction
from ray_jobs.jobs.train import prepare_training, training_identity
from ray_jobs.jobs.train_parallel import TrainingTask
from ray_jobs.runtime.executor import run_locally
from ray_jobs.settings.experiment import ExperimentSettings
from ray_jobs.stages.predict import Predict
from ray_jobs.storage.arm import Arm, open_arm
from ray_jobs.storage.fingerprint import Identity, digest
from ray_jobs.storage.layout import CELLS
from ray_jobs.storage.model_store import find_model

__all__ = ["Cell", "CellKey", "cell_key", "create_cell", "plan_cells", "read_result", "required_runs", "score_cell"]

VERSION = 1
"""Increment when the result of a cell changes for the same training and posts."""

CellKey = tuple[str, RunSpec, int]
"""Position of a result in the tables: data set, recognizer on an arm, seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell(TrainingTask):
    """One training and its evaluations. `job` is the context of the data set's run, with the seed of this cell."""

    data: str
    """Name of the data set in the experiment."""
    key: str
    """Digest of everything that the result depends on."""
    split: str
    swapped: tuple[bool, ...]
    """Evaluations: with each post's own image (False), with images swapped among the posts (True), or both."""

    @property
    def name(self) -> str:
        """Description for messages."""
        return f"{self.data}, {self.training.system}, {self.training.arm.name}, seed {self.training.settings.seed}"

    def result_key(self, swapped: bool) -> str:
        """Return the key of a result in the data set's run."""
        return f"{CELLS}/{self.key}{'-swapped' if swapped else ''}.json"

    def missing_evaluations(self) -> list[bool]:
        """Return the evaluations whose results are not published; none if the cell is finished."""
        return [swapped for swapped in self.swapped if not self.job.store.exists(self.result_key(swapped))]


def required_runs(grid: ExperimentSettings) -> list[RunSpec]:
    """Return the runs that the tables require, without repetition, in the order of the tables.

    Raises SettingsError for an unknown table or recognizer.
    """
    specs = [spec for table in grid.tables for spec in run_specs(table, grid.recognizers, grid.text_systems)]
    for spec in specs:
        get_system(spec.recognizer)
    return list(dict.fromkeys(specs))


def plan_cells(grid: ExperimentSettings, data: str, job: RunContext) -> dict[CellKey, Cell]:
    """Return the cells of one data set by their positions in the tables.

    Positions with the same posts and settings share one cell.
    """
    evaluations: dict[tuple[str, str], set[bool]] = {}
    for spec in required_runs(grid):
        evaluations.setdefault((spec.recognizer, spec.arm), set()).add(spec.swapped)
    systems = dict.fromkeys(system for system, _ in evaluations)
    encoders = {system: encoder_identities(system, job.settings.recognizer) for system in systems}
    arms = {arm: open_arm(job.store, arm) for arm in dict.fromkeys(arm for _, arm in evaluations)}
    cell_of_position: dict[CellKey, str] = {}
    cells: dict[str, Cell] = {}
    for (system, arm), swapped in evaluations.items():
        for seed in grid.data[data].seeds or grid.seeds:
            cell = create_cell(
                data, job, arms[arm], system, encoders[system], seed=seed, split=grid.split, swapped=swapped
            )
            existing = cells.get(cell.key, cell)
            cells[cell.key] = replace(existing, swapped=tuple(sorted({*existing.swapped, *cell.swapped})))
            cell_of_position |= {(data, RunSpec(system, arm, value), seed): cell.key for value in swapped}
    return {position: cells[key] for position, key in cell_of_position.items()}


def create_cell(
    data: str,
    job: RunContext,
    arm: Arm,
    system: str,
    encoders: Mapping[str, str],
    *,
    seed: int,
    split: str,
    swapped: Collection[bool],
) -> Cell:
    """Return the cell of a system on an arm, and write the identity of its model. `encoders`: `encoder_identities`."""
    settings = job.settings
    settings = settings.model_copy(update={"training": settings.training.model_copy(update={"seed": seed})})
    if not settings.workers.gpus and settings.prediction.device == "auto":
        # The training process also scores the cell, so the pool of `amia predict` does not decide the device.
        settings = settings.model_copy(update={"prediction": settings.prediction.model_copy(update={"device": "cpu"})})
    job = replace(job, settings=settings)
    identity = training_identity(job, system, arm, encoders)
    key = cell_key(job, identity, split)
    training = prepare_training(job, system, arm, f"{system}-{arm.name}-seed{seed}-{key[:8]}", identity)
    return Cell(data=data, job=job, training=training, key=key, split=split, swapped=tuple(sorted(swapped)))


def cell_key(job: RunContext, identity: Identity, split: str) -> str:
    """Return the digest of a cell; `identity`: that of its training.

    It omits the arm's name: two arms with the same rows share a cell.
    """
    prediction = job.settings.prediction
    return digest(
        {
            **identity,
            "input": identity["input"]["files"],
            "evaluation": {
                "versions": [VERSION, Predict.version],
                "split": split,
                "prediction": prediction.model_dump(exclude={"device"}),
                "threads": job.settings.pools.predict.threads,
                "seed": job.settings.seed,
            },
        }
    )


def score_cell(cell: Cell) -> float:
    """Publish the missing results of a trained cell.

    Returns F1 in [0, 1] of the last one; the evaluation on the posts' own images is last.
    """
    job, arm = cell.job, cell.training.arm
    model = find_model(cell.training.name, job.store)
    f1 = 0.0
    for swapped in sorted(cell.missing_evaluations(), reverse=True):
        prediction = run_prediction(job, model, arm, [cell.split], swap_images=swapped, run_stage=run_locally)
        posts = read_scored_posts(prediction)
        publish_scores(prediction, cell.split, posts)
        result = CellResult.from_posts(
            posts,
            data=cell.data,
            recognizer=cell.training.system,
            arm=arm.name,
            seed=cell.training.settings.seed,
            swapped=swapped,
        )
        job.store.create(cell.result_key(swapped), json.dumps(result.to_json()).encode())
        f1 = result.score().f1
    return f1


def read_result(cell: Cell, swapped: bool) -> CellResult | None:
    """Read a result; None if it is not published."""
    store, key = cell.job.store, cell.result_key(swapped)
    return CellResult.from_json(json.loads(store.read(key))) if store.exists(key) else None
