"""`amia experiment`: the paper's tables, with seeds and significance, as one job that goes on where it stopped.

Corpora, then arms, then cells (one training each, side by side), then tables. All of it stands in the runs of the data
sets: a cell under `cells/`, named after what it depends on; tables under `experiments/<name>/`, made anew each time.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from amia.demo import write_corpus
from amia.errors import SettingsError, StageError
from amia.experiments.results import CellResult, DatasetInfo
from amia.experiments.run_specs import RunSpec, run_specs
from amia.experiments.table import Table
from amia.experiments.table_builder import build_tables
from amia.mixing.arms import needs_synthesis
from amia.mner.builder import encoder_identities
from amia.mner.systems import get_system
from amia.report.attribution import is_demo
from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.context import RunContext, open_context
from ray_jobs.jobs.experiment_cells import Cell, Outcome, cell_of, run_cells
from ray_jobs.jobs.ingest import ingest
from ray_jobs.settings.experiment import DataSet, Experiment, ExperimentSettings
from ray_jobs.settings.job import Settings
from ray_jobs.storage.arm import open_arm
from ray_jobs.storage.layout import POSTS, arm_folder, manifest_key, shard_key
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store

__all__ = ["ExperimentResult", "experiment"]

Place = tuple[str, RunSpec, int]
"""Where a result stands in the tables: data set, recognizer on an arm, seed."""


@dataclass(frozen=True, slots=True)
class ExperimentResult:
    """What came out."""

    tables: list[Table]
    cells: int
    """Trainings that the tables stand on."""
    finished: int
    """Those that were finished before."""
    folders: list[str]
    """Where the tables stand: one a data set."""


def experiment(asked: Experiment, *, quiet: bool = False) -> ExperimentResult:
    """Run every cell that is not finished, and write the tables.

    A cell that fails leaves a dash in the tables; when all others have ended its error is raised. Raises whatever of
    `amia.errors` stands in the way.
    """
    jobs = {name: _data(asked, name, each, quiet) for name, each in asked.grid.data.items()}
    places: dict[Place, Cell] = {}
    for name, job in jobs.items():
        places |= _cells(asked.grid, name, job)
    cells = {(cell.data, cell.key): cell for cell in places.values()}
    finished = sum(not cell.unfinished() for cell in cells.values())
    say = next(iter(jobs.values())).say
    say(f"{len(cells)} cells, {finished} of them finished before")
    failed = list(_run(list(cells.values()), finished, say))
    tables = _tables(asked, jobs, places)
    folders = [_publish(asked, job.store, tables) for job in jobs.values()]
    if failed:
        raise _broken_off(failed)
    return ExperimentResult(tables, len(cells), finished, folders)


def _data(asked: Experiment, name: str, data: DataSet, quiet: bool) -> RunContext:
    """A data set with posts, and every arm that the tables need."""
    grid, settings, store = asked.grid, asked.settings, Store(data.run)
    if not _whole(store):
        if data.source is None and grid.draw is None:
            raise SettingsError(f"{name}: no posts in {store.address}: ingest them first, or give `source` in the file")
        source = data.source or _drawn(store, grid.draw or 0)
        ingest(source, data.run, settings, images=data.images, quiet=quiet)
    job = open_context(data.run, settings, quiet=quiet)
    if grid.split not in job.plan.posts:
        raise SettingsError(f"{name}: no split {grid.split!r}: there are {', '.join(sorted(job.plan.posts))}")
    wanted = dict.fromkeys(need.arm for need in _needs(grid, settings))
    lacking = [arm for arm in wanted if not store.exists(manifest_key(arm_folder(arm)))]
    if lacking:
        job.say(f"{name}: making {', '.join(lacking)}")
    # Also where none lacks: arms that were made with other settings are refused.
    augment(
        data.run,
        settings,
        arms=tuple(wanted),
        mixture=data.mixture,
        accept_mixture=grid.accept_mixture,
        quiet=quiet or not lacking,
    )
    return job


def _whole(store: Store) -> bool:
    plan = Plan.find(store)
    return plan is not None and {shard_key(POSTS, shard) for shard in plan.shards} <= store.list(POSTS).keys()


def _drawn(store: Store, posts: int) -> str:
    """A corpus of the drawn world beside the run's folders, whole or not at all."""
    if store.folder is None:
        raise SettingsError(f"draw={posts} draws its corpus on a disk: give a run that is a folder")
    folder = store.folder / "corpus"
    if not (folder / "truth.ndjson").exists():  # written last
        write_corpus(folder, posts=posts)
    return str(folder)


def _needs(grid: ExperimentSettings, settings: Settings) -> list[RunSpec]:
    """Without repetition, in the order of the tables."""
    found = [
        need
        for table in grid.tables
        for need in run_specs(table, grid.recognizers, grid.text_systems, settings.triplet.negatives)
    ]
    for need in found:
        get_system(need.recognizer)
    return list(dict.fromkeys(found))


def _cells(grid: ExperimentSettings, name: str, job: RunContext) -> dict[Place, Cell]:
    """Every place of the tables with its cell; a cell serves several places where their posts are the same."""
    wanted: dict[tuple[str, str], set[bool]] = {}
    for need in _needs(grid, job.settings):
        wanted.setdefault((need.recognizer, need.arm), set()).add(need.swapped)
    encoders = {
        system: encoder_identities(system, job.settings.recognizer)
        for system in dict.fromkeys(system for system, _ in wanted)
    }
    arms = {arm: open_arm(job.store, arm) for arm in dict.fromkeys(arm for _, arm in wanted)}
    keys: dict[Place, str] = {}
    cells: dict[str, Cell] = {}
    for (system, arm), swaps in wanted.items():
        for seed in grid.seeds:
            cell = cell_of(name, job, arms[arm], system, encoders[system], seed=seed, split=grid.split, swapped=swaps)
            known = cells.get(cell.key, cell)
            cells[cell.key] = replace(known, swapped=tuple(sorted({*known.swapped, *cell.swapped})))
            keys |= {(name, RunSpec(system, arm, swapped), seed): cell.key for swapped in swaps}
    return {place: cells[key] for place, key in keys.items()}


def _run(cells: Sequence[Cell], finished: int, say: Any) -> Iterator[Outcome]:
    """Runs the cells, says how each ended, and yields those that failed."""
    begun, left = time.monotonic(), len(cells) - finished
    for number, ended in enumerate(run_cells(cells), 1):
        away = (time.monotonic() - begun) / number * (left - number)
        told = f"F1 {100 * ended.f1:.2f}" if ended.f1 is not None else f"failed: {ended.error.splitlines()[0]}"
        say(f"[{finished + number}/{len(cells)}] {ended.cell.name}: {told} ({ended.seconds:,.0f} s), {_minutes(away)}")
        if ended.f1 is None:
            yield ended


def _minutes(seconds: float) -> str:
    return "the last" if seconds == 0 else f"about {max(1, round(seconds / 60))} min left"


def _tables(asked: Experiment, jobs: Mapping[str, RunContext], places: Mapping[Place, Cell]) -> list[Table]:
    results = [
        # Under the name that this experiment gives data set and arm, whatever other one made it.
        replace(found, data=name, arm=need.arm)
        for (name, need, _), cell in places.items()
        if (found := _result(cell, need.swapped)) is not None
    ]
    settings = asked.settings
    facts = {
        name: DatasetInfo(
            posts=job.plan.posts,
            text_encoder=settings.recognizer.text.model,
            visual_encoder=settings.recognizer.visual.model,
            clip=settings.clip.model,
            generator=settings.generator.model,
            negatives=settings.triplet.negatives,
        )
        for name, job in jobs.items()
    }
    return build_tables(
        asked.grid.tables,
        results,
        recognizers=asked.grid.recognizers,
        text_systems=asked.grid.text_systems,
        seeds=asked.grid.seeds,
        data=facts,
        resamples=asked.grid.resamples,
        notice=_notice(asked),
    )


def _result(cell: Cell, swapped: bool) -> CellResult | None:
    store, key = cell.job.store, cell.result(swapped)
    return CellResult.from_json(json.loads(store.read(key))) if store.exists(key) else None


def _notice(asked: Experiment) -> str | None:
    """What stands under every table where weights of the demo had a part in any cell."""
    settings, wanted = asked.settings, _needs(asked.grid, asked.settings)
    kinds = [get_system(need.recognizer) for need in wanted]
    mixed = any(needs_synthesis(need.arm) for need in wanted)  # every table that shows drawn images mixes some by theta
    used = {
        "text": settings.recognizer.text.model if any(kind.family == "pieces" for kind in kinds) else "",
        "visual": settings.recognizer.visual.model if any(kind.reads_images for kind in kinds) else "",
        "clip": settings.clip.model if mixed else "",
        "generator": settings.generator.model if mixed else "",
    }
    if not any(map(is_demo, used.values())):
        return None
    return "Made with the demo's tiny weights, which know its drawn world alone: how the method works, not how well."


def _publish(asked: Experiment, store: Store, tables: Sequence[Table]) -> str:
    """Tables are derived from cells, so they are the one thing in a run that is written again."""
    folder = f"experiments/{asked.name}"
    about = {
        "name": asked.name,
        "notice": _notice(asked),
        "grid": asked.grid.model_dump(mode="json"),
        "settings": asked.settings.model_dump(mode="json", exclude={"pools", "wait_for_gpus_s"}),
        "tables": [table.to_json() for table in tables],
    }
    store.delete(folder)
    for table in tables:
        store.create(f"{folder}/{table.name}.md", table.markdown().encode())
        store.create(f"{folder}/{table.name}.csv", table.csv().encode())
    store.create(f"{folder}/tables.json", json.dumps(about, indent=1, ensure_ascii=False).encode())
    return f"{store.address}/{folder}"


def _broken_off(failed: Sequence[Outcome]) -> StageError:
    first = failed[0]
    where = ""
    if first.whole:
        key = f"log/{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{first.cell.key[:8]}-cell-error.txt"
        first.cell.job.store.create(key, first.whole.encode())
        where = f"\n{first.cell.job.store.address}/{key} has the traceback."
    return StageError(
        f"{first.cell.name}: {first.error}{where}\n{len(failed)} cells failed and are dashes in the tables; all others "
        "are finished. The same command tries the failed ones again"
    )
