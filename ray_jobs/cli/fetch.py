"""`amia fetch`: download models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ray_jobs.cli.console import console, print_json
from ray_jobs.cli.options import Config, Json, Overrides
from ray_jobs.settings.job import load_settings

if TYPE_CHECKING:  # keep Ray out of the start-up of the command line
    from ray_jobs.jobs.download import DownloadResult

__all__ = ["fetch"]


def fetch(
    overrides: Overrides = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Recognizer to train later. Repeat for several.")
    ] = None,
    config: Config = "default",
    json: Json = False,
) -> None:
    """Download all models of a config into the cache (HF_HOME). For workers without internet access."""
    settings = load_settings(config, overrides or [])
    from ray_jobs.jobs.download import download_models

    print_download_results(download_models(settings, model or []), json=json)


def print_download_results(results: Sequence["DownloadResult"], *, json: bool) -> None:
    """Print the role, the identity and the folder of each model."""
    if json:
        print_json({model.role: {"identity": model.identity, "folder": str(model.folder)} for model in results})
        return
    for model in results:
        console.print(f"{model.role}: {model.identity} -> {model.folder}")
