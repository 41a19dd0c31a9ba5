"""Settings of a job: presets, files, overrides of the command line, and the help text."""

from pathlib import Path

import pytest

from amia.errors import SettingsError
from ray_jobs.settings.job import Settings, load_settings, settings_help


def test_presets() -> None:
    default, paper, demo = map(load_settings, ("default", "paper", "demo"))
    assert default == Settings()
    assert (paper.triplet.negatives, paper.triplet.batch, paper.per_shard) == ("batch", 64, 512)
    assert paper.generator.model == "stabilityai/sdxl-turbo"
    assert (demo.per_shard, demo.image.size, demo.pools.embed.threads) == (64, 64, 1)
    assert demo.clip.model == "demo:clip"
    assert demo.shipped_mixture == "demo:mixture"


def test_overrides_keep_other_settings() -> None:
    settings = load_settings("demo", ["triplet.margin=0.2", "pools.mix.max=3", "clip.revision=null", "seed=7"])
    assert settings.triplet.margin == 0.2
    assert settings.pools.mix.max == 3
    assert settings.pools.mix.cpus == 0.5, "the default of the pool was lost"
    assert settings.clip.revision is None
    assert settings.seed == 7
    assert settings.image.size == 64


def test_last_override_counts() -> None:
    assert load_settings("default", ["seed=1", "seed=2"]).seed == 2


def test_value_with_equals_sign() -> None:
    assert load_settings("default", ["clip.model=./a=b"]).clip.model == "./a=b"


def test_file_based_on_a_preset(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("preset: demo\nper_shard: 32\ntriplet:\n  margin: 0.3\n", encoding="utf-8")
    settings = load_settings(file, ["triplet.bank=100"])
    assert (settings.per_shard, settings.triplet.margin, settings.triplet.bank) == (32, 0.3, 100)
    assert settings.image.size == 64


def test_file_based_on_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text("", encoding="utf-8")
    assert load_settings(file) == Settings()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("per_shard: [", "not readable YAML"),
        ("- a\n- b\n", "must hold settings"),
        ("preset: dmeo\n", "no preset 'dmeo', did you mean 'demo'"),
        ("preset: mine.yaml\n", "mine.yaml is a file; a settings file starts from the name of a preset"),
        ("triplet:\n  margn: 1\n", "no setting 'triplet.margn', did you mean 'triplet.margin'"),
        ("1: 2\n", "no setting '1'"),
    ],
)
def test_rejects_invalid_file(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("config", "overrides", "message"),
    [
        ("papr", [], "no preset 'papr', did you mean 'paper'?: the presets are default, demo, paper"),
        ("nowhere.yaml", [], "no settings file nowhere.yaml"),
        ("default", ["margin=0.2"], "no setting 'margin', did you mean 'triplet.margin'?"),
        ("default", ["pools.sythesize.gpus=1"], "no setting 'pools.sythesize', did you mean 'pools.synthesize"),
        ("default", ["per_shards=1"], "did you mean 'per_shard'?"),
        ("default", ["seed"], "'seed' is not a setting: write name=value"),
        ("default", ["seed=[1"], "'seed=[1': the value is not valid YAML"),
        ("default", ["=3"], "no setting ''"),
        ("default", ["seed.x=3"], "seed="),
        ("default", ["triplet=3"], "triplet=3"),
        ("default", ["seed=-1"], "seed=-1: input should be greater than or equal to 0"),
        ("default", ["per_shard=0"], "per_shard=0: input should be greater than or equal to 1"),
        ("default", ["per_shard=many"], "per_shard='many': input should be a valid integer"),
        ("default", ["max_failed=1.5"], "max_failed=1.5: input should be less than or equal to 1"),
        ("default", ["pools.mix.min=0"], "pools.mix.min=0: input should be greater than or equal to 1"),
        ("default", ["image.fit=squeeze"], "image.fit='squeeze': input should be 'cover', 'stretch' or 'pad'"),
        ("default", ["triplet.negatives=hard"], "triplet.negatives='hard'"),
        ("default", ["image.quality=101"], "image.quality=101"),
        ("default", ["triplet.margin=.nan"], "triplet.margin=nan"),
        ("default", ["wait_for_gpus_s=.inf"], "wait_for_gpus_s=inf: input should be a finite number"),
        ("default", ["pools.mix.min=5", "pools.mix.max=2"], "min=5 is greater than max=2"),
    ],
)
def test_error_names_the_setting(config: str, overrides: list[str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value).removesuffix("\n") or "YAML" in message


def test_error_names_all_invalid_settings() -> None:
    with pytest.raises(SettingsError, match=r"seed=-1.*per_shard=0"):
        load_settings("default", ["seed=-1", "per_shard=0"])


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings("default").seed = 3  # type: ignore[misc]  # mypy rejects the assignment, too


def test_help_lists_every_setting() -> None:
    text = settings_help()

    def walk(tree: dict[str, object], prefix: str = "") -> list[tuple[str, object]]:
        return [
            leaf
            for name, value in tree.items()
            for leaf in (walk(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)])
        ]

    lines = text.splitlines()
    for name, value in walk(Settings().model_dump()):
        shown = "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        assert f"  {name} = {shown}" in lines
    for name, help_text in {"seed": "Seed of the run", "pools.read.lease": "Consecutive shards"}.items():
        index = next(number for number, line in enumerate(lines) if line.startswith(f"  {name} = "))
        assert help_text in lines[index + 1]
    assert max(map(len, lines)) <= 78
