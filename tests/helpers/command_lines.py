"""Commands parsed by the real command lines, without being run: a wrong option, setting or file fails."""

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


def parsed(words: Sequence[str]) -> list[str]:
    """What was checked of a command: `amia augment`, and for `ray job submit` also what is submitted.

    Empty when the command is none of ours. Raises what the command line says of a wrong one.
    """
    if words[0] == "srun":
        words = [word for word in words[1:] if not word.startswith("--") or "ray" in words[: words.index(word)]]
    words = [Path(words[0]).name, *words[1:]]
    if words[:3] == ["python", "-m", "ray_jobs"]:
        return parsed(["amia", *words[3:]])
    if words[0] == "sbatch":
        return parsed(["amia", *words[next(n for n, word in enumerate(words) if word.endswith(".sbatch")) + 1 :]])
    if words[0] == "amia":
        return [f"amia {_amia(list(words[1:]))}".strip()]
    if words[0] == "ray":
        name, found = _resolved(ray_cli, list(words[1:]), "ray")
        return [name, *(parsed(found["entrypoint"]) if "entrypoint" in found else [])]
    return []


def _amia(words: list[str]) -> str:
    if words in ([], ["--help"]):
        return " ".join(words)
    name, found = _resolved(AMIA, words, "amia")
    config = found.get("config") or "default"
    if config.startswith(IMAGE_PRESETS):
        config = str(PRESETS / config.removeprefix(IMAGE_PRESETS + "/"))
    elif config.endswith(".yaml"):
        config = str(ROOT / config)
    load_settings(config, found.get("words") or [])
    if name in {"train", "fetch"}:
        from amia.mner.systems import system_of

        for system in [found["model"]] if isinstance(found["model"], str) else found["model"] or []:
            system_of(system)
    return name


def _resolved(command: Any, words: list[str], name: str) -> tuple[str, dict[str, Any]]:
    """The subcommand that the words name, and its parameters."""
    context, path = command.make_context(name, list(words)), [name]
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args] if hasattr(context, "_protected_args") else context.args
        sub, command, rest = command.resolve_command(context, rest)
        context = command.make_context(sub, rest, parent=context)
        path.append(sub)
    return (" ".join(path) if path[0] == "ray" else path[-1]), dict(context.params)


def ray_start(params: dict[str, str], *, head: bool) -> None:
    """The `ray start` that KubeRay makes of `rayStartParams`. Raises what `ray` says of a wrong one."""
    words = ["start", *(["--head"] if head else []), *(f"--{name}={value}" for name, value in params.items())]
    assert all(re.fullmatch(r"[a-z-]+", name) for name in params)
    _resolved(ray_cli, words, "ray")
