"""The method's settings as one tree: presets, overrides, what is refused, and the names of what ships."""

from pathlib import Path

import pytest

from amia.demo import CLIP_DIR, GENERATOR_DIR, MIXTURE_DIR
from amia.errors import SettingsError
from amia.settings import PRESETS, MethodSettings, deep_merge, expand_dotted, iter_fields, load_method, shipped_names


@pytest.mark.parametrize("name", sorted(file.stem for file in PRESETS.glob("*.yaml")))
def test_every_preset_loads(name: str) -> None:
    assert isinstance(load_method(name), MethodSettings)


def test_the_demo_preset_finds_its_weights_wherever_it_is_installed() -> None:
    demo = load_method("demo")
    assert (demo.clip.model, demo.generator.model) == (str(CLIP_DIR), str(GENERATOR_DIR))
    assert demo.shipped_mixture == str(MIXTURE_DIR)
    assert load_method("default").shipped_mixture is None


def test_overrides_are_dotted_names() -> None:
    settings = load_method("paper", {"triplet.margin": 0.2, "image.size": 64})
    assert (settings.triplet.margin, settings.image.size, settings.triplet.negatives) == (0.2, 64, "batch")


def test_the_jobs_settings_are_not_the_methods() -> None:
    with pytest.raises(SettingsError, match="no setting 'per_shard'"):
        load_method("default", {"per_shard": 3})


@pytest.mark.parametrize("name", ["Demo", "demo ", "", "../presets/demo", "defualt"])
def test_an_unknown_preset_is_named_with_those_that_are_there(name: str) -> None:
    with pytest.raises(SettingsError, match="the presets are default, demo, paper"):
        load_method(name)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"seed: \xff\xfe")
    with pytest.raises(SettingsError, match=r"mine\.yaml is not readable YAML"):
        load_method(tmp_path / "mine.yaml")


def test_trees_merge_leaf_by_leaf() -> None:
    under = {"a": {"b": 1, "c": 2}, "d": 3}
    assert deep_merge(under, {"a": {"c": 4}, "d": {"e": 5}}) == {"a": {"b": 1, "c": 4}, "d": {"e": 5}}
    assert under == {"a": {"b": 1, "c": 2}, "d": 3}
    assert expand_dotted("a.b.c", 1) == {"a": {"b": {"c": 1}}}


def test_every_setting_has_a_help_text() -> None:
    found = iter_fields(MethodSettings)
    assert [leaf.name for leaf in found if not leaf.help] == []
    assert {"seed", "triplet.margin", "generator.model"} <= {leaf.name for leaf in found}


def test_shipped_weights_are_named_without_their_folder() -> None:
    tree = shipped_names(load_method("demo").model_dump())
    assert tree["clip"]["model"] == "demo:clip"
    assert tree["generator"]["model"] == "demo:generator"
    assert tree["shipped_mixture"] == "demo:mixture"
    assert shipped_names({"clip": {"model": "openai/x", "n": 1}, "a": [1]}) == {
        "clip": {"model": "openai/x", "n": 1},
        "a": [1],
    }
