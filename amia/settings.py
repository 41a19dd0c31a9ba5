"""Settings of the method as one tree, and its presets: `default`, `paper`, `demo`.

A preset is a small YAML file with what differs from the defaults in the code. Settings come from a preset or from a
YAML file (which may name a preset to start from), then from `name=value` overrides.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from amia.images import ImageSettings
from amia.matching.gmm import MixtureSettings
from amia.matching.settings import ClipSettings
from amia.matching.triplet import TripletSettings
from amia.synthesis.settings import GeneratorSettings
from amia.utils.config import StrictModel, build_settings, deep_merge, expand_dotted, read_tree

__all__ = ["PRESETS", "MethodSettings", "load_method"]

PRESETS = Path(__file__).parent / "presets"


class MethodSettings(StrictModel):
    """Everything that determines an augmented image."""

    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of the run. The seed of a post is a hash of it and the post's id."""
    image: ImageSettings = ImageSettings()
    """Decoding limits, and the one geometry of all arms."""
    clip: ClipSettings = ClipSettings()
    """Encoder that compares text and image."""
    triplet: TripletSettings = TripletSettings()
    """Loss between text and image, eqs. 1-7."""
    mixture: MixtureSettings = MixtureSettings()
    """Two Gaussians over the losses, eq. 8."""
    generator: GeneratorSettings = GeneratorSettings()
    """Model that synthesizes an image from a text."""
    shipped_mixture: str | None = None
    """Folder of a frozen mixture that is used, with a notice, for a corpus too small to fit one on. `demo:mixture` is
    the one of the demo world."""


def load_method(config: str | Path = "default", overrides: Mapping[str, Any] | None = None) -> MethodSettings:
    """Load settings from a preset's name or a YAML file, with dotted overrides such as `{"triplet.margin": 0.2}`.

    Raises SettingsError for an unknown preset or setting (with the nearest name) and for a value out of range.
    """
    tree = read_tree(config, [PRESETS])
    for name, value in (overrides or {}).items():
        tree = deep_merge(tree, expand_dotted(name, value))
    return build_settings(MethodSettings, tree)
