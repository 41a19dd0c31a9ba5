"""`amia experiment`: the paper's tables."""

from typing import TYPE_CHECKING, Annotated

import typer

from ray_jobs.cli.console import console, print_json
from ray_jobs.cli.options import Json
from ray_jobs.settings.experiment import load_experiment

if TYPE_CHECKING:  # keep Ray out of the start-up of the command line
    from ray_jobs.jobs.experiment import ExperimentResult

__all__ = ["experiment"]


def experiment(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=VALUE]...",
            help="Settings of the grid (seeds=[0,1], recognizers=[umt]) or of its jobs that override the config.",
        ),
    ] = None,
    config: Annotated[
        str,
        typer.Option(
            "--config",
            help="table1, table2, table3, controls, default (all of them); demo, demo-table1 ...: the same on the "
            "demo world; demo-when: when augmentation helps; or a YAML file. Settings are listed at the end.",
        ),
    ] = "default",
    run: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            help="Run of a data set, as RUN or NAME=RUN. Repeat for several. With demo-when: a folder for all runs.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Folder of the tables in experiments/. Default: name of the config.")
    ] = None,
    json: Json = False,
) -> None:
    """Compute the paper's tables with seeds and significance tests. If interrupted, run it again to resume."""
    spec = load_experiment(config, run or [], overrides or [], name=name)
    from ray_jobs.jobs.experiment import experiment as experiment_job

    print_experiment_result(experiment_job(spec, quiet=json), json=json)


def print_experiment_result(result: "ExperimentResult", *, json: bool) -> None:
    """Print the tables as Markdown, and the folders that hold them."""
    if json:
        tables = [table.to_json() for table in result.tables]
        print_json({"tables": tables, "cells": result.cells, "folders": result.folders})
        return
    for table in result.tables:
        console.print(f"\n{table.markdown()}")
    for folder in result.folders:
        console.print(f"-> {folder}")
