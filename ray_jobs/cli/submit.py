"""`amia submit`: run a command on a Ray cluster."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amia.errors import SettingsError
from ray_jobs.cli.console import console, format_table, print_json, print_lines
from ray_jobs.cli.options import Json

if TYPE_CHECKING:  # keep Ray out of the start-up of the command line
    from ray_jobs.jobs.staging import StagedFile
    from ray_jobs.jobs.submit import JobResult

__all__ = ["submit"]

LOCATIONS = ("source", "run", "to", "images", "mixture")
"""Parameters of the commands that name folders, which the cluster must be able to read."""


def submit(
    context: typer.Context,
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND...", help="Command of amia with its options, after `--`.")
    ],
    address: Annotated[
        str | None,
        typer.Option(
            "--address", help="URL of the cluster's dashboard. Default: RAY_ADDRESS, else a Ray on this machine."
        ),
    ] = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Return once the job is accepted, instead of showing its output.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the files that would be uploaded, and submit nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Run a command on a Ray cluster with the code of this machine. Exits with the exit code of the command."""
    parameters = _parse(context, command)
    console.stderr = json  # parsing the command has set it by the command's own --json
    _refuse_relative_locations(parameters)
    from ray_jobs.jobs.staging import list_files

    files = list_files(parameters.get("config"))
    if dry_run:
        print_listing(command, files, json=json)
        return
    from ray_jobs.jobs.submit import follow_job, submit_job

    cluster, job = submit_job(command, files, address)
    console.print(f"submitted as {job}; `ray job stop --address {cluster} {job}` stops it")
    if no_wait:
        if json:
            print_json({"job": job, "address": cluster})
        return
    result = follow_job(cluster, job, lambda lines: console.print(lines, end=""))
    print_job_result(result, json=json)
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def print_listing(command: Sequence[str], files: "Sequence[StagedFile]", *, json: bool) -> None:
    """Print the name and size of each file that would be uploaded, and the command that would run."""
    from ray_jobs.jobs.submit import ENV_VARS, entrypoint_of

    if json:
        sizes = {file.name: file.bytes for file in files}
        print_json({"files": sizes, "entrypoint": entrypoint_of(command), "env_vars": ENV_VARS})
        return
    print_lines(format_table([[file.name, f"{file.bytes:,}"] for file in files]))
    total = sum(file.bytes for file in files)
    console.print(f"{len(files):,} files, {total / 1e6:,.1f} MB; nothing else of this machine is uploaded")
    console.print(f"runs: {entrypoint_of(command)}")
    print_lines(f"with {name}={value}" for name, value in ENV_VARS.items())


def print_job_result(result: "JobResult", *, json: bool) -> None:
    """Print how the job ended."""
    if json:
        print_json({"job": result.id, "status": result.status, "exit_code": result.exit_code})
        return
    console.print(f"{result.id}: {result.status.lower()}, exit code {result.exit_code}")


def _parse(context: typer.Context, command: Sequence[str]) -> Mapping[str, Any]:
    """Return the parameters of a command of amia. A wrong command ends here, not after the upload.

    The command line of the job runs nothing in this process.
    """
    root = context.find_root()
    group: Any = root.command
    name, subcommand, words = group.resolve_command(root, list(command))
    parameters: Mapping[str, Any] = subcommand.make_context(name, words, parent=root).params
    return parameters


def _refuse_relative_locations(parameters: Mapping[str, Any]) -> None:
    for name in LOCATIONS:
        for location in _locations(parameters.get(name)):
            if not (location.startswith(("/", "hf:")) or "://" in location):
                raise SettingsError(
                    f"{location} is a folder of this machine, and the job runs on another: give a URL (s3://, gs://, "
                    "az://), or the absolute path of a disk that all nodes share"
                )


def _locations(value: str | Path | list[str] | None) -> Iterator[str]:
    """Yield the locations in the value of a parameter. Those of `experiment` may be NAME=RUN."""
    if isinstance(value, list):
        yield from (item if "://" in item.partition("=")[0] else item.rpartition("=")[2] for item in value)
    elif value is not None:
        yield str(value)
