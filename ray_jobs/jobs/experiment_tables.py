"""Tables of an experiment: built from the results of its cells, and published in the run of each data set."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from amia.experiments.results import DatasetInfo
from amia.experiments.table import Table
from amia.experiments.table_builder import build_tables
from amia.mixing.arms import needs_synthesis
from amia.mner.systems import get_system
from amia.report.attribution import is_demo
from ray_jobs.jobs.context import RunContext
from ray_jobs.jobs.experiment_cells import Cell, CellKey, read_result, required_runs
from ray_jobs.settings.experiment import ExperimentSpec
from ray_jobs.storage.layout import EXPERIMENTS
from ray_jobs.storage.store import Store

__all__ = ["create_tables", "demo_notice", "publish_tables"]


def create_tables(spec: ExperimentSpec, jobs: Mapping[str, RunContext], cells: Mapping[CellKey, Cell]) -> list[Table]:
    """Build the tables from all results that are published. `jobs`: the context of each data set's run."""
    results = [
        # A result may have been published for another experiment, or under another arm's name.
        replace(result, data=data, arm=run_spec.arm)
        for (data, run_spec, _), cell in cells.items()
        if (result := read_result(cell, run_spec.swapped)) is not None
    ]
    settings = spec.settings
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
    return build_tables(
        spec.grid.tables,
        results,
        recognizers=spec.grid.recognizers,
        text_systems=spec.grid.text_systems,
        seeds=spec.grid.seeds,
        data=datasets,
        resamples=spec.grid.resamples,
        notice=demo_notice(spec),
    )


def publish_tables(spec: ExperimentSpec, store: Store, tables: Sequence[Table]) -> str:
    """Write the tables to a run, and return the address of their folder. Tables of an earlier start are replaced."""
    folder = f"{EXPERIMENTS}/{spec.name}"
    tree = {
        "name": spec.name,
        "notice": demo_notice(spec),
        "grid": spec.grid.model_dump(mode="json"),
        "settings": spec.settings.model_dump(mode="json", exclude={"pools", "wait_for_gpus_s"}),
        "tables": [table.to_json() for table in tables],
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
