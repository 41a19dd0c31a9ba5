"""Tables of an experiment: built from the results of its cells, and published in the run of each data set."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from amia.errors import SettingsError
from amia.experiments.match_shares import sum_shares
from amia.experiments.results import CellResult, DatasetInfo
from amia.experiments.table import Table
from amia.experiments.table_builder import build_tables
from amia.experiments.when_map import WhenMap
from amia.experiments.when_table import MapCorpus, build_when_map, when_table
from amia.mixing.arms import needs_synthesis
from amia.mner.systems import get_system
from amia.report.attribution import is_demo
from ray_jobs.jobs.context import RunContext
from ray_jobs.jobs.experiment_cells import Cell, CellKey, read_result, required_runs
from ray_jobs.jobs.mixture import read_matching_model
from ray_jobs.reporting.match_shares import read_match_shares
from ray_jobs.settings.experiment import ExperimentSettings, ExperimentSpec
from ray_jobs.storage.layout import EXPERIMENTS
from ray_jobs.storage.store import Store

__all__ = ["create_tables", "demo_notice", "publish_tables"]


def create_tables(
    spec: ExperimentSpec, jobs: Mapping[str, RunContext], cells: Mapping[CellKey, Cell]
) -> tuple[list[Table], WhenMap | None]:
    """Build the tables from all results that are published, and the map if `when` is one of them.

    `jobs`: the context of each data set's run.
    """
    results = [
        _assign(result, cell, data, run_spec.arm)
        for (data, run_spec, _), cell in cells.items()
        if (result := read_result(cell, run_spec.swapped)) is not None
    ]
    settings, grid, notice = spec.settings, spec.grid, demo_notice(spec)
    datasets = {
        data: DatasetInfo(
            posts=job.plan.posts,
            text_encoder=settings.recognizer.text.model,
            visual_encoder=settings.recognizer.visual.model,
            clip=settings.clip.model,
            generator=settings.generator.model,
        )
        for data, job in jobs.items()
    }
    tables = build_tables(
        [name for name in grid.tables if name != "when"],
        results,
        recognizers=grid.recognizers,
        text_systems=grid.text_systems,
        seeds=grid.seeds,
        data=datasets,
        resamples=grid.resamples,
        notice=notice,
    )
    if "when" not in grid.tables:
        return tables, None
    when = build_when_map(
        results,
        {data: _map_corpus(grid, data, job) for data, job in jobs.items()},
        recognizer=grid.recognizers[0],
        resamples=grid.resamples,
        notice=notice,
    )
    return [when_table(when, resamples=grid.resamples), *tables], when


def _assign(result: CellResult, cell: Cell, data: str, arm: str) -> CellResult:
    """Return a result for a data set and an arm: it may have been published for others.

    The thetas of another data set are dropped, since they are not those of these posts.
    """
    theta = result.theta if cell.data == data else np.full_like(result.theta, np.nan)
    return replace(result, data=data, arm=arm, theta=theta)


def _map_corpus(grid: ExperimentSettings, data: str, job: RunContext) -> MapCorpus:
    dataset = grid.data[data]
    if dataset.mismatched is None or dataset.known is None:
        raise SettingsError(f"{data}: the table `when` needs `mismatched` and `known` for every data set")
    model = read_matching_model(job.store)
    shares = read_match_shares(job.store, job.plan, model) if model else {}
    return MapCorpus(
        mismatched=dataset.mismatched,
        known=dataset.known,
        seeds=dataset.seeds or grid.seeds,
        shares=sum_shares(shares.values()) if shares else None,
        rejection_reason=next((fit.rejection_reason for fit in model.fits.values()), None) if model else None,
    )


def publish_tables(spec: ExperimentSpec, store: Store, tables: Sequence[Table], when: WhenMap | None) -> str:
    """Write tables and map to a run, and return the address of their folder. Those of an earlier start are replaced."""
    folder = f"{EXPERIMENTS}/{spec.name}"
    tree = {
        "name": spec.name,
        "notice": demo_notice(spec),
        "grid": spec.grid.model_dump(mode="json"),
        "settings": spec.settings.model_dump(mode="json", exclude={"pools", "wait_for_gpus_s"}),
        "tables": [table.to_json() for table in tables],
        "map": when and when.model_dump(mode="json"),
    }
    store.delete(folder)
    for table in tables:
        store.create(f"{folder}/{table.name}.md", table.markdown().encode())
        store.create(f"{folder}/{table.name}.csv", table.csv().encode())
    store.create(f"{folder}/tables.json", json.dumps(tree, indent=1, ensure_ascii=False).encode())
    return f"{store.address}/{folder}"


def demo_notice(spec: ExperimentSpec) -> str | None:
    """Return the footnote for tables whose cells used weights of the demo; None if no cell did."""
    settings, run_specs = spec.settings, required_runs(spec.grid)
    systems = [get_system(run_spec.recognizer) for run_spec in run_specs]
    synthesizes = any(needs_synthesis(run_spec.arm) for run_spec in run_specs)
    models = {
        "text": settings.recognizer.text.model if any(system.input_unit == "subwords" for system in systems) else "",
        "visual": settings.recognizer.visual.model if any(system.reads_images for system in systems) else "",
        # Tables with synthesized images always include an arm that is mixed by theta.
        "clip": settings.clip.model if synthesizes else "",
        "generator": settings.generator.model if synthesizes else "",
    }
    if not any(map(is_demo, models.values())):
        return None
    return (
        "Made with the demo's tiny weights, which know only its synthetic world: they show how the method works, not "
        "how well."
    )
