"""`amia experiment`: the paper's tables, with seeds and significance, as one job that resumes where it stopped.

1. Prepare the data sets: ingest the corpora, and create the arms that the tables require.
2. Run the cells (`experiment_cells`): one training and its evaluations each, side by side.
3. Create the tables (`experiment_tables`).

Everything is kept in the runs of the data sets: results of cells under `cells/`, tables under `experiments/<name>/`.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from amia.demo import write_corpus
from amia.errors import SettingsError, StageError
from amia.experiments.table import Table
from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.context import RunContext, open_context
from ray_jobs.jobs.experiment_cells import Cell, CellKey, plan_cells, required_runs, score_cell
from ray_jobs.jobs.experiment_sharing import share_cells, take_over_synthesized
from ray_jobs.jobs.experiment_tables import create_tables, publish_tables
from ray_jobs.jobs.ingest import ingest
from ray_jobs.jobs.train_parallel import TaskOutcome, run_parallel
from ray_jobs.settings.experiment import DataSet, ExperimentSpec
from ray_jobs.storage.layout import arm_folder, manifest_key
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store

__all__ = ["ExperimentResult", "experiment", "prepare_dataset", "run_cells"]


@dataclass(frozen=True, slots=True)
class ExperimentResult:
    """Result of `experiment`."""

    tables: list[Table]
    cells: int
    """Number of cells that the tables are made from."""
    finished: int
    """Number of cells that were finished before."""
    folders: list[str]
    """Addresses of the folders with the tables, one per data set."""


def experiment(spec: ExperimentSpec, *, quiet: bool = False) -> ExperimentResult:
    """Run all unfinished cells, and write the tables.

    A failed cell leaves a dash in the tables, and its error is raised after all others have ended. Raises AmiaError.
    """
    jobs: dict[str, RunContext] = {}
    for name, dataset in spec.grid.data.items():
        jobs[name] = prepare_dataset(spec, name, dataset, quiet, similar=jobs.values() if spec.grid.map else ())
    positions: dict[CellKey, Cell] = {}
    for name, job in jobs.items():
        positions |= plan_cells(spec.grid, name, job)
    if spec.grid.map:
        positions = share_cells(positions)
    cells = list({(cell.data, cell.key): cell for cell in positions.values()}.values())
    unfinished = [cell for cell in cells if cell.missing_evaluations()]
    finished = len(cells) - len(unfinished)
    log = next(iter(jobs.values())).log
    log(f"{len(cells)} cells, {finished} of them finished before")
    failures = run_cells(unfinished, finished, log)
    tables, when = create_tables(spec, jobs, positions)
    folders = [publish_tables(spec, job.store, tables, when) for job in jobs.values()]
    if failures:
        first = failures[0]
        raise StageError(
            f"{first.task.name}: {first.error}\n{len(failures)} cells failed and are dashes in the tables; all others "
            "are finished. Start the same command again to retry the failed cells"
        )
    return ExperimentResult(tables, len(cells), finished, folders)


def prepare_dataset(
    spec: ExperimentSpec, name: str, dataset: DataSet, quiet: bool, similar: Iterable[RunContext] = ()
) -> RunContext:
    """Ingest a data set if its run holds no posts, and create all arms that the tables require.

    Synthesized images of `similar` runs with the same posts are taken over.

    Raises IdentityError for arms that were made with other settings, and SettingsError if there is no corpus to ingest
    or no such split.
    """
    grid, settings, store = spec.grid, spec.settings, Store(dataset.run)
    plan = Plan.find(store)
    if plan is None or plan.missing_posts(store):
        if dataset.source is None and grid.draw is None:
            raise SettingsError(f"{name}: no posts in {store.address}: ingest them first, or set `source` in the file")
        source = dataset.source or _write_demo_corpus(store, dataset, grid.draw or 0)
        ingest(source, dataset.run, settings, images=dataset.images, quiet=quiet)
    job = open_context(dataset.run, settings, quiet=quiet)
    if grid.split not in job.plan.posts:
        raise SettingsError(f"{name}: no split {grid.split!r}: there are {', '.join(sorted(job.plan.posts))}")
    arms = dict.fromkeys(run_spec.arm for run_spec in required_runs(grid))
    missing = [arm for arm in arms if not store.exists(manifest_key(arm_folder(arm)))]
    if missing:
        job.log(f"{name}: creating {', '.join(missing)}")
        take_over_synthesized(job, similar)
    # Called even if no arm is missing: it refuses arms that were made with other settings.
    augment(
        dataset.run,
        settings,
        arms=tuple(arms),
        mixture=dataset.mixture,
        accept_mixture=grid.accept_mixture,
        quiet=quiet or not missing,
    )
    return job


def run_cells(cells: Sequence[Cell], finished: int, log: Callable[[str], None]) -> list[TaskOutcome[Cell, float]]:
    """Train and score the cells, log the result of each, and return the outcomes of those that failed.

    `finished`: number of cells that were finished before, for the progress.
    """
    failures: list[TaskOutcome[Cell, float]] = []
    started, total = time.monotonic(), finished + len(cells)
    for number, outcome in enumerate(run_parallel(cells, score_cell), 1):
        if outcome.result is None:
            failures.append(outcome)
            result = f"failed: {str(outcome.error).splitlines()[0]}"
        else:
            result = f"F1 {100 * outcome.result:.2f}"
        remaining = (time.monotonic() - started) / number * (len(cells) - number)
        log(
            f"[{finished + number}/{total}] {outcome.task.name}: {result} ({outcome.seconds:,.0f} s), "
            f"{_format_remaining(remaining)}"
        )
    return failures


def _format_remaining(seconds: float) -> str:
    return "the last" if seconds == 0 else f"about {max(1, round(seconds / 60))} min left"


def _write_demo_corpus(store: Store, dataset: DataSet, posts: int) -> str:
    """Write a demo corpus next to the run's folders, unless it is complete, and return its folder."""
    if store.folder is None:
        raise SettingsError(f"draw={posts} writes its corpus to a disk: use a run that is a local folder")
    folder = store.folder / "corpus"
    if not (folder / "truth.ndjson").exists():  # written last
        shares: dict[str, Any] = {"mismatched": dataset.mismatched, "known": dataset.known}
        write_corpus(folder, posts=posts, **{name: share for name, share in shares.items() if share is not None})
    return str(folder)
