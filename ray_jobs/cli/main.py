"""The `amia` command line: the list of commands, and the mapping of errors to exit codes.

Exit codes: 0 success; 1 a bug or a lost cluster; 2 invalid settings or usage; 3 corpus or image errors; 4 model errors;
5 the mixture failed its checks; 6 the run was made with other settings; 7 the cluster lacks resources; 8 run directory
or storage errors; 9 too many posts failed; 130 Ctrl-C; 143 SIGTERM, with every shard either published or left to the
next start.
"""

import gc as garbage_collector
import inspect
import sys
from collections.abc import Callable

import typer

from amia import errors
from ray_jobs.cli.augment import augment
from ray_jobs.cli.demo import demo
from ray_jobs.cli.doctor import doctor
from ray_jobs.cli.evaluate import evaluate
from ray_jobs.cli.experiment import experiment
from ray_jobs.cli.export import export
from ray_jobs.cli.fetch import fetch
from ray_jobs.cli.gc import gc
from ray_jobs.cli.ingest import ingest
from ray_jobs.cli.plan import plan
from ray_jobs.cli.predict import predict
from ray_jobs.cli.remove import remove
from ray_jobs.cli.report import report
from ray_jobs.cli.retry import retry
from ray_jobs.cli.status import status
from ray_jobs.cli.submit import submit
from ray_jobs.cli.train import train
from ray_jobs.runtime.console import escape_controls
from ray_jobs.runtime.ray_log_filter import without_false_alarm
from ray_jobs.runtime.signals import SIGTERM_EXIT_CODE, Stopped, exit_on_sigterm, handle_sigterm
from ray_jobs.settings.experiment import ExperimentSettings
from ray_jobs.settings.job import settings_help

__all__ = ["app", "main"]

app = typer.Typer(
    help="Augmented images for multimodal named entity recognition: measure how well the image of a post matches its "
    "text, and synthesize one that matches better.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

EXIT_CODES: list[tuple[type[errors.AmiaError], int]] = [
    (errors.SettingsError, 2),
    (errors.CorpusError, 3),
    (errors.ImageError, 3),
    (errors.ModelError, 4),
    (errors.MixtureError, 5),
    (errors.IdentityError, 6),
    (errors.ClusterError, 7),
    (errors.StageError, 1),
    (errors.AmiaError, 8),
]
"""The first matching class decides."""

COMMANDS: tuple[Callable[..., None], ...] = (
    doctor,
    plan,
    ingest,
    augment,
    fetch,
    train,
    evaluate,
    predict,
    experiment,
    status,
    report,
    export,
    retry,
    remove,
    gc,
    submit,
    demo,
)
"""In the order of `amia --help`."""


def _describe_settings(command: Callable[..., None]) -> str | None:
    """Return the settings that a command accepts, for the end of its `--help`."""
    if "overrides" not in inspect.signature(command).parameters:
        return None
    if command is not experiment:
        return settings_help()
    grid = "Settings of the grid (NAME=VALUE, or in a YAML file with `preset: NAME`):"
    jobs = "Settings of all its jobs (NAME=VALUE, or in the YAML file under `settings:`):"
    return f"{settings_help(ExperimentSettings, grid)}\n\n{settings_help(head=jobs)}"


for _command in COMMANDS:
    app.command(epilog=_describe_settings(_command))(exit_on_sigterm(_command))


def main() -> None:
    """Run the command line. Errors that the user can act on become one message and an exit code, not a traceback."""
    with without_false_alarm(), handle_sigterm():
        code = _run()
    garbage_collector.freeze()  # otherwise the exit would search all loaded libraries for garbage
    sys.exit(code)


def _run() -> int:
    try:
        return int(app(standalone_mode=False) or 0)
    except typer.Exit as exit_request:
        return exit_request.exit_code
    except typer.Abort:
        return 130
    except Stopped as stopped:
        print(stopped, file=sys.stderr, flush=True)
        return SIGTERM_EXIT_CODE
    except errors.AmiaError as error:
        print(f"error: {escape_controls(str(error))}", file=sys.stderr, flush=True)
        return next(code for kind, code in EXIT_CODES if isinstance(error, kind))
    except Exception as error:  # a bug keeps its traceback
        if (show := getattr(error, "show", None)) is None:  # click's own message about wrong usage
            raise
        show()
        return 2
