"""Settings of the method: presets, overrides, and help texts."""

from pathlib import Path

import pytest

from amia.errors import SettingsError
from amia.settings import PRESETS, MethodSettings, load_method
from amia.utils.config import iter_fields


@pytest.mark.parametrize("name", sorted(file.stem for file in PRESETS.glob("*.yaml")))
def test_every_preset_loads(name: str) -> None:
    assert isinstance(load_method(name), MethodSettings)


def test_demo_preset_names_shipped_weights_without_paths() -> None:
    demo = load_method("demo")
    assert (demo.clip.model, demo.generator.model) == ("demo:clip", "demo:generator")
    assert demo.shipped_mixture == "demo:mixture"
    assert load_method("default").shipped_mixture is None


def test_overrides_are_dotted_names() -> None:
    settings = load_method("paper", {"triplet.margin": 0.2, "image.size": 64})
    assert (settings.triplet.margin, settings.image.size, settings.triplet.negatives) == (0.2, 64, "batch")


def test_rejects_settings_of_jobs() -> None:
    with pytest.raises(SettingsError, match="no setting 'per_shard'"):
        load_method("default", {"per_shard": 3})


@pytest.mark.parametrize("name", ["Demo", "demo ", "", "../presets/demo", "defualt"])
def test_unknown_preset_lists_the_known_ones(name: str) -> None:
    with pytest.raises(SettingsError, match="the presets are default, demo, paper"):
        load_method(name)


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"seed: \xff\xfe")
    with pytest.raises(SettingsError, match=r"mine\.yaml is not readable YAML"):
        load_method(tmp_path / "mine.yaml")


def test_every_setting_has_a_help_text() -> None:
    fields = iter_fields(MethodSettings)
    assert [field.name for field in fields if not field.help] == []
    assert {"seed", "triplet.margin", "generator.model"} <= {field.name for field in fields}
