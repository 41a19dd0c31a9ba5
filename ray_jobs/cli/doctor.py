"""`amia doctor`: check a corpus."""

from typing import Annotated

import typer

from ray_jobs.cli.console import print_json, print_lines
from ray_jobs.cli.options import Config, Images, Json
from ray_jobs.settings.job import load_settings

__all__ = ["doctor"]


def doctor(
    source: Annotated[str, typer.Argument(help="Corpus, as for `amia ingest`.")],
    images: Images = None,
    config: Config = "default",
    json: Json = False,
) -> None:
    """Check a corpus for problems before spending compute on it. Reads all of it, writes nothing."""
    from amia.doctor import render_report, scan_corpus
    from amia.readers import open_corpus

    report = scan_corpus(open_corpus(source, images), load_settings(config).image)
    if json:
        print_json(report.to_json())
    else:
        print_lines(render_report(report))
