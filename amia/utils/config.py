"""Typed settings: the pydantic base class, presets and files as trees, and errors that name the nearest setting.

A tree is a nested dictionary as YAML holds it. Nothing here imports torch, so reading settings is fast.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from amia.errors import SettingsError

__all__ = [
    "Compile",
    "Dtype",
    "SettingField",
    "StrictModel",
    "Tree",
    "build_settings",
    "deep_merge",
    "expand_dotted",
    "iter_fields",
    "read_tree",
    "suggest",
]

Tree = dict[str, Any]

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
"""Precision of a model; `amia.accelerator.resolve_dtype` resolves `auto`."""

Compile = bool | Literal["auto"]
"""Whether `torch.compile` compiles a model. `auto`: on a GPU, where the speed pays for a minute of compilation."""

Model = TypeVar("Model", bound=BaseModel)


class StrictModel(BaseModel):
    """Base class of a group of settings: typed, frozen, and strict about names.

    The docstring under a field is its help text: meaning, unit and trade-off. Unknown names and values out of range are
    rejected when the group is built, so nothing downstream validates them again.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )


@dataclass(frozen=True, slots=True)
class SettingField:
    """One setting of a tree."""

    name: str
    """Dotted name, such as `triplet.margin`."""
    default: Any
    help: str


def read_tree(config: str | Path, folders: Sequence[Path]) -> Tree:
    """Return the tree of a preset or of a YAML file.

    A preset is merged from the files of its name in `folders`, in order. A YAML file may start from a preset with
    `preset: NAME`; otherwise it starts from `default`. Raises SettingsError for an unknown preset or a file that cannot
    be read.
    """
    path = Path(config)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise SettingsError(f"no settings file {path}: check the path")
        tree = _read_yaml(path)
        base = str(tree.pop("preset", "default"))
        if Path(base).suffix in {".yaml", ".yml"}:
            raise SettingsError(f"{path}: preset: {base} is a file; a settings file starts from the name of a preset")
        return deep_merge(read_tree(base, folders), tree)
    # Comparing with the listing accepts names only, never paths that lead out of the folder.
    files = [file for folder in folders for file in folder.glob("*.yaml") if file.name == f"{config}.yaml"]
    if not files:
        known = sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})
        raise SettingsError(
            f"no preset {str(config)!r}{suggest(str(config), known)}: the presets are {', '.join(known)}; "
            "the name of a settings file ends in .yaml"
        )
    merged: Tree = {}
    for file in files:
        merged = deep_merge(merged, _read_yaml(file))
    return merged


def build_settings(kind: type[Model], tree: Mapping[str, Any]) -> Model:
    """Build a settings object from a tree.

    Raises SettingsError that lists every invalid setting: unknown names with the nearest name, values with their range.
    """
    try:
        # Merge over the defaults of the instance, field by field: a pool with one changed setting keeps its own
        # defaults, not those of its class.
        return kind.model_validate(deep_merge(kind().model_dump(), tree))
    except ValidationError as error:
        paths = [field.name.split(".") for field in iter_fields(kind)]
        known = [".".join(path[:depth]) for path in paths for depth in range(1, len(path) + 1)]  # groups, too
        problems: list[str] = []
        for detail in error.errors():
            name = ".".join(str(part) for part in detail["loc"])
            if detail["type"] in {"extra_forbidden", "invalid_key"}:
                problems.append(f"no setting {name!r}{suggest(name, known)}")
            else:
                reason = detail["msg"].removeprefix("Value error, ")
                problems.append(f"{name}={detail['input']!r}: {reason[0].lower()}{reason[1:]}")
        raise SettingsError("; ".join(problems)) from None


def iter_fields(kind: type[BaseModel]) -> list[SettingField]:
    """List every setting of a tree in order. Raises ValidationError if a setting has no default."""
    return _fields_of(kind(), "")


def expand_dotted(dotted: str, value: Any) -> Tree:
    """Expand `triplet.margin`, 0.2 to {"triplet": {"margin": 0.2}}."""
    first, _, rest = dotted.partition(".")
    return {first: expand_dotted(rest, value) if rest else value}


def deep_merge(base: Mapping[str, Any], update: Mapping[str, Any]) -> Tree:
    """Merge two trees into a new one; where both have a value, that of `update` counts."""
    merged = dict(base)
    for name, value in update.items():
        previous = merged.get(name)
        if isinstance(previous, Mapping) and isinstance(value, Mapping):
            value = deep_merge(previous, value)
        merged[name] = value
    return merged


def suggest(name: str, known: Sequence[str]) -> str:
    """Return `, did you mean 'x'?` with the nearest known name, or an empty string if none is near."""
    by_last_part = {full.rpartition(".")[2]: full for full in reversed(known)}
    close = difflib.get_close_matches(name, known, 1, 0.6) or [
        by_last_part[last] for last in difflib.get_close_matches(name.rpartition(".")[2], list(by_last_part), 1, 0.6)
    ]
    return f", did you mean {close[0]!r}?" if close else ""


def _fields_of(tree: BaseModel, prefix: str) -> list[SettingField]:
    # Defaults come from an instance: two groups of one class, such as two pools, have different defaults.
    fields: list[SettingField] = []
    for name, info in type(tree).model_fields.items():
        value = getattr(tree, name)
        if isinstance(value, BaseModel):
            fields += _fields_of(value, f"{prefix}{name}.")
        else:
            fields.append(SettingField(prefix + name, value, " ".join((info.description or "").split())))
    return fields


def _read_yaml(path: Path) -> Tree:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path} is not readable YAML: {error}") from error
    if not isinstance(tree, dict):
        raise SettingsError(f"{path} must hold settings as `name: value` lines")
    return tree
