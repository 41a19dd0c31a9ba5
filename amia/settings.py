"""The method's settings as one tree, and its presets: `default`, `paper`, `demo`.

A preset is a small YAML file of what differs from the defaults in the code. Settings come from a preset or a file of
the person's own (which may name a preset to start from), then from `name=value` overrides.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, Field, ValidationError

from amia import demo
from amia.errors import SettingsError
from amia.images import ImageSettings
from amia.matching.gmm import MixtureSettings
from amia.matching.settings import ClipSettings
from amia.matching.triplet import TripletSettings
from amia.synthesis.settings import GeneratorSettings
from amia.utils.config import StrictModel

__all__ = [
    "PRESETS",
    "MethodSettings",
    "SettingField",
    "build_settings",
    "deep_merge",
    "iter_fields",
    "load_method",
    "located",
    "preset",
    "shipped_names",
]

PRESETS = Path(__file__).parent / "presets"
Tree = dict[str, Any]
T = TypeVar("T", bound=BaseModel)


class MethodSettings(StrictModel):
    """Everything that decides what an augmented image looks like."""

    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of the run: every post's own seed is a hash of it and the post's id."""
    image: ImageSettings = ImageSettings()
    """Decoding limits, and the one geometry of all arms."""
    clip: ClipSettings = ClipSettings()
    """The encoder that compares text and image."""
    triplet: TripletSettings = TripletSettings()
    """The loss between text and image, eqs. 1-7."""
    mixture: MixtureSettings = MixtureSettings()
    """The two Gaussians over the losses, eq. 8."""
    generator: GeneratorSettings = GeneratorSettings()
    """The model that draws an image from a text."""
    shipped_mixture: str | None = None
    """Folder of a frozen mixture that is taken, with a notice, where a corpus is too little to fit one on."""


def preset(folder: Path, name: str) -> Tree | None:
    """The tree of a preset, or None where `folder` has no such file.

    `demo:clip` and the like stand for folders of the weights that ship inside the package.
    """
    path = folder / f"{name}.yaml"
    return located(_yaml(path)) if path in set(folder.glob("*.yaml")) else None  # a name, never a way to elsewhere


def load_method(config: str | Path = "default", overrides: Mapping[str, Any] | None = None) -> MethodSettings:
    """Settings from a preset's name or a YAML file, with dotted overrides such as `{"triplet.margin": 0.2}`.

    Raises SettingsError for an unknown preset or setting (with the nearest name) and for a value out of range.
    """
    tree = read_tree(config, [PRESETS])
    for name, value in (overrides or {}).items():
        tree = deep_merge(tree, expand_dotted(name, value))
    return build_settings(MethodSettings, tree)


def read_tree(config: str | Path, folders: Sequence[Path]) -> Tree:
    """The tree of a preset (merged over `folders`) or of a file, which may say `preset: NAME` to start from one."""
    path = Path(config)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise SettingsError(f"no settings file {path}")
        own = _yaml(path)
        base = str(own.pop("preset", "default"))
        if Path(base).suffix in {".yaml", ".yml"}:
            raise SettingsError(f"{path}: preset: {base} is a file; a file of your own starts from a preset's name")
        return deep_merge(read_tree(base, folders), own)
    found = [tree for folder in folders if (tree := preset(folder, str(config))) is not None]
    if not found:
        known = sorted({each.stem for folder in folders for each in folder.glob("*.yaml")})
        raise SettingsError(
            f"no preset {str(config)!r}{suggest(str(config), known)}: the presets are {', '.join(known)}; "
            "a file of your own ends in .yaml"
        )
    whole: Tree = {}
    for each in found:
        whole = deep_merge(whole, each)
    return whole


def build_settings(kind: type[T], tree: Mapping[str, Any]) -> T:
    """A settings object from a tree.

    Raises SettingsError naming every wrong setting: unknown ones with the nearest name, others with their range.
    """
    try:
        # Over the defaults, leaf by leaf: a pool of which one setting is given keeps its own others, not its class's.
        return kind.model_validate(deep_merge(kind().model_dump(), tree))
    except ValidationError as error:
        names = [leaf.name for leaf in iter_fields(kind)]
        told: list[str] = []
        for each in error.errors():
            name = ".".join(str(part) for part in each["loc"])
            if each["type"] in {"extra_forbidden", "invalid_key"}:
                told.append(f"no setting {name!r}{suggest(name, names)}")
            else:
                said = each["msg"].removeprefix("Value error, ")
                told.append(f"{name}={each['input']!r}: {said[0].lower()}{said[1:]}")
        raise SettingsError("; ".join(told)) from None


@dataclass(frozen=True, slots=True)
class SettingField:
    """One setting."""

    name: str
    """Dotted: `triplet.margin`."""
    default: Any
    help: str


def iter_fields(kind: type[BaseModel]) -> list[SettingField]:
    """Every setting of a tree, in order. Raises ValidationError when a setting of the tree has no default."""
    return _leaves(kind(), "")


def _leaves(tree: BaseModel, prefix: str) -> list[SettingField]:
    # Defaults from an instance: two groups of one class, such as two pools, begin with different values.
    found: list[SettingField] = []
    for name, info in type(tree).model_fields.items():
        value = getattr(tree, name)
        if isinstance(value, BaseModel):
            found += _leaves(value, f"{prefix}{name}.")
        else:
            found.append(SettingField(prefix + name, value, " ".join((info.description or "").split())))
    return found


def expand_dotted(dotted: str, value: Any) -> Tree:
    """`triplet.margin`, 0.2 -> {"triplet": {"margin": 0.2}}."""
    first, _, rest = dotted.partition(".")
    return {first: expand_dotted(rest, value) if rest else value}


def deep_merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """Two trees as one; where both speak, `over` decides."""
    both = dict(under)
    for name, value in over.items():
        standing = both.get(name)
        both[name] = (
            deep_merge(standing, value) if isinstance(standing, Mapping) and isinstance(value, Mapping) else value
        )
    return both


def suggest(name: str, known: Sequence[str]) -> str:
    """`, did you mean 'x'?` where something known is near, else nothing."""
    last = {each.rpartition(".")[2]: each for each in reversed(known)}
    close = difflib.get_close_matches(name, known, 1, 0.6) or [
        last[each] for each in difflib.get_close_matches(name.rpartition(".")[2], list(last), 1, 0.6)
    ]
    return f", did you mean {close[0]!r}?" if close else ""


def _yaml(path: Path) -> Tree:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path} is not readable YAML: {error}") from error
    if not isinstance(tree, dict):
        raise SettingsError(f"{path} must hold settings as `name: value` lines")
    return tree


def shipped_names(tree: Mapping[str, Any]) -> Tree:
    """A tree with the folders of the shipped weights under their names (`demo:clip`): equal on every machine."""
    return _replaced(tree, {folder: name for name, folder in _places().items()})


def located(tree: Mapping[str, Any]) -> Tree:
    """The way back: a preset in the package cannot know where it was installed, nor a tree of another machine."""
    return _replaced(tree, _places())


def _places() -> dict[str, str]:
    folders = {
        "demo:clip": demo.CLIP_DIR,
        "demo:generator": demo.GENERATOR_DIR,
        "demo:mixture": demo.MIXTURE_DIR,
        "demo:resnet": demo.RESNET_DIR,
        "demo:bert": demo.BERT_DIR,
    }
    return {name: str(folder) for name, folder in folders.items()}


def _replaced(tree: Mapping[str, Any], words: Mapping[str, str]) -> Tree:
    return {
        name: _replaced(value, words)
        if isinstance(value, Mapping)
        else words.get(value, value)
        if isinstance(value, str)
        else value
        for name, value in tree.items()
    }
