"""Parse commands with the real command lines, without running them: a wrong option, setting or file is an error."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from ray.scripts.scripts import cli as ray_cli

from ray_jobs.cli.main import app
from ray_jobs.settings.job import load_settings
from tests.helpers.cluster_folder import IMAGE_PRESETS, PRESETS, ROOT

AMIA = typer.main.get_command(app)


def check_command(words: Sequence[str]) -> list[str]:
    """Parse a command and return its names: `amia augment`; for a submission also that of the submitted command.

    Returns an empty list for commands other than amia and Ray. Raises the error of the command line if it is wrong.
    """
    if words[0] == "srun":
        words = [word for word in words[1:] if not word.startswith("--") or "ray" in words[: words.index(word)]]
    words = [Path(words[0]).name, *words[1:]]
    if words[:3] == ["python", "-m", "ray_jobs"]:
        return check_command(["amia", *words[3:]])
    if words[0] == "sbatch":
        return check_command(
            ["amia", *words[next(n for n, word in enumerate(words) if word.endswith(".sbatch")) + 1 :]]
        )
    if words[0] == "amia":
        submitted = check_command(["amia", *words[words.index("--") + 1 :]]) if words[1:2] == ["submit"] else []
        return [f"amia {_check_amia(list(words[1:]))}".strip(), *submitted]
    if words[0] == "ray":
        name, options = _parse(ray_cli, list(words[1:]), "ray")
        return [name, *(check_command(options["entrypoint"]) if "entrypoint" in options else [])]
    return []


def _check_amia(words: list[str]) -> str:
    if words in ([], ["--help"]):
        return " ".join(words)
    name, options = _parse(AMIA, words, "amia")
    config = options.get("config") or "default"
    if config.startswith(IMAGE_PRESETS):
        config = str(PRESETS / config.removeprefix(IMAGE_PRESETS + "/"))
    elif config.endswith(".yaml"):
        config = str(ROOT / config)
    load_settings(config, options.get("overrides") or [])
    if name in {"train", "fetch"}:
        from amia.mner.systems import get_system

        for system in [options["model"]] if isinstance(options["model"], str) else options["model"] or []:
            get_system(system)
    return name


def _parse(command: Any, words: list[str], name: str) -> tuple[str, dict[str, Any]]:
    """Return the name of the subcommand and its parameters."""
    context, path = command.make_context(name, list(words)), [name]
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args] if hasattr(context, "_protected_args") else context.args
        sub, command, rest = command.resolve_command(context, rest)
        context = command.make_context(sub, rest, parent=context)
        path.append(sub)
    return (" ".join(path) if path[0] == "ray" else path[-1]), dict(context.params)


def check_ray_start(params: dict[str, str], *, head: bool) -> None:
    """Parse the `ray start` command that KubeRay creates from `rayStartParams`. Raises the error of `ray`."""
    words = ["start", *(["--head"] if head else []), *(f"--{name}={value}" for name, value in params.items())]
    assert all(re.fullmatch(r"[a-z-]+", name) for name in params)
    _parse(ray_cli, words, "ray")
