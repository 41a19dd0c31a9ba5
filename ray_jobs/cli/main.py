"""`amia ...`: the commands of `ray_jobs/commands/`, and what becomes of their errors.

Exit codes: 0 done; 1 a bug or a cluster that died; 2 wrong settings or usage; 3 the corpus or an image; 4 a model;
5 the mixture is not to be trusted; 6 the run was made otherwise; 7 the cluster has no room; 8 the run or its storage;
9 too many posts failed; 130 Ctrl-C; 143 SIGTERM, with every shard finished or left to the next start.
"""

import gc
import inspect
import sys
from collections.abc import Callable

import typer

from amia import errors
from ray_jobs.cli import corpus, planning, recognizers, runs, story
from ray_jobs.runtime.console import escape_controls
from ray_jobs.runtime.ray_log_filter import without_false_alarm
from ray_jobs.runtime.signals import STOPPED, Stopped, exit_on_sigterm, handle_sigterm
from ray_jobs.settings.experiment import ExperimentSettings
from ray_jobs.settings.job import settings_help

__all__ = ["app", "main"]

app = typer.Typer(
    help="Augmented images for multimodal named entity recognition: how well does a post's image match its text, and "
    "what would match better?",
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

COMMANDS: tuple[Callable[..., None], ...] = (
    corpus.doctor,
    planning.plan,
    corpus.ingest,
    corpus.augment,
    runs.fetch,
    recognizers.train,
    recognizers.evaluate,
    recognizers.predict,
    recognizers.experiment,
    runs.status,
    runs.report,
    runs.export,
    runs.retry,
    runs.gc,
    story.demo,
)
"""In the order of use."""


def _settings_of(command: Callable[..., None]) -> str | None:
    """What stands at the end of a command's `--help`."""
    if "words" not in inspect.signature(command).parameters:
        return None
    if command is not recognizers.experiment:
        return settings_help()
    grid = "The grid (NAME=VALUE, or in a YAML file that may begin with `preset: NAME`):"
    others = "Settings of all that is in it (NAME=VALUE, or in the file under `settings:`):"
    return f"{settings_help(ExperimentSettings, grid)}\n\n{settings_help(head=others)}"


for command in COMMANDS:
    app.command(epilog=_settings_of(command))(exit_on_sigterm(command))


def main() -> None:
    """The console script: errors that a person can act on are one message and an exit code, not a traceback."""
    with without_false_alarm(), handle_sigterm():
        code = _run()
    gc.freeze()  # or leaving would search every library for garbage first
    sys.exit(code)


def _run() -> int:
    try:
        return int(app(standalone_mode=False) or 0)
    except typer.Exit as left:
        return left.exit_code
    except typer.Abort:
        return 130
    except Stopped as stopped:
        print(stopped, file=sys.stderr, flush=True)
        return STOPPED
    except errors.AmiaError as error:
        print(f"error: {escape_controls(str(error))}", file=sys.stderr, flush=True)
        return next(code for kind, code in EXIT_CODES if isinstance(error, kind))
    except Exception as error:  # a bug keeps its traceback
        if (show := getattr(error, "show", None)) is None:  # click's own words about wrong usage
            raise
        show()
        return 2
