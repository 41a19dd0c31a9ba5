"""Rates of `amia plan`: those that ship, and those that `make bench` measured."""

import json
from pathlib import Path

import pytest

from amia.errors import SettingsError
from ray_jobs.settings.rates import FIRST_PASS, FOLDERS, Rates, load_rates, shipped_rates

STAGE = {"cpu_s": 0.5, "source": "measured here"}


@pytest.mark.parametrize("kind", shipped_rates())
def test_shipped_rates_are_complete(kind: str) -> None:
    rates = load_rates(kind)
    assert rates.gpu == kind
    assert rates.stages.keys() == {*FIRST_PASS, *FOLDERS}
    assert rates.stages["synthesized"].gpu_s > rates.stages["embeddings"].gpu_s > 0
    for source in (rates.source, *(rate.source for rate in rates.stages.values())):
        assert source.startswith(("measured", "published", "derived"))


def test_unknown_machine() -> None:
    with pytest.raises(SettingsError, match="no rates for 'h10': available are a100, h100, rtx4090"):
        load_rates("h10")


def test_cores_are_not_a_machine() -> None:
    with pytest.raises(SettingsError, match="no rates for 'cores'"):
        load_rates("cores")


def test_measured_rates_override_those_of_cores(tmp_path: Path) -> None:
    file = tmp_path / "rates.json"
    file.write_text(json.dumps({"format": "amia-rates-1", "plan": {"gpu": "l4", "stages": {"synthesized": STAGE}}}))
    rates, shipped = load_rates(str(file)), load_rates("a100")
    assert rates.gpu == "l4"
    assert rates.stages["synthesized"].cpu_s == 0.5
    assert rates.stages["posts"] == shipped.stages["posts"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ('{"stages": {}}', "has no rates for `amia plan`"),
        ("[1, 2]", "has no rates for `amia plan`"),
        ('{"plan": {"efficiency": 2}}', "efficiency: Input should be less than or equal to 1"),
        ('{"plan": {"speed": 2}}', "speed: Extra inputs"),
        ('{"plan": {"stages": {"posts": {"cpu_s": -1}}}}', "stages.posts.cpu_s"),
    ],
)
def test_rejects_invalid_file(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "rates.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_rates(str(file))


def test_missing_file() -> None:
    with pytest.raises(SettingsError, match=r"missing\.json cannot be read"):
        load_rates("missing.json")


def test_image_stages_scale_with_the_number_of_pixels() -> None:
    rates: Rates = load_rates("a100")
    half = rates.at(rates.size // 2)
    for name in ("synthesized", "augmented"):
        assert half.stages[name].cpu_s == pytest.approx(rates.stages[name].cpu_s / 4)
        assert half.stages[name].bytes == pytest.approx(rates.stages[name].bytes / 4)
    assert half.stages["synthesized"].gpu_s == pytest.approx(rates.stages["synthesized"].gpu_s / 4)
    assert half.stages["embeddings"] == rates.stages["embeddings"]
    assert rates.at(rates.size) == rates
