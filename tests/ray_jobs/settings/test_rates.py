import json
from pathlib import Path

import pytest

from amia.errors import SettingsError
from ray_jobs.settings.rates import FOLDERS, Rates, load_rates, shipped_rates

STAGE = {"cpu_s": 0.5, "source": "measured here"}


@pytest.mark.parametrize("kind", shipped_rates())
def test_shipped_rates_are_whole_and_name_their_sources(kind: str) -> None:
    rates = load_rates(kind)
    assert rates.gpu == kind
    assert rates.stages.keys() == set(FOLDERS)
    assert rates.stages["synthesized"].gpu_s > rates.stages["embeddings"].gpu_s > 0
    for source in (rates.source, *(each.source for each in rates.stages.values())):
        assert source.startswith(("measured", "published", "derived"))


def test_an_unknown_machine_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="no rates of 'h10': there are a100, h100, rtx4090"):
        load_rates("h10")


def test_what_cores_do_beside_a_gpu_is_no_machine() -> None:
    with pytest.raises(SettingsError, match="no rates of 'cores'"):
        load_rates("cores")


def test_a_measured_file_stands_over_what_ships(tmp_path: Path) -> None:
    file = tmp_path / "rates.json"
    file.write_text(json.dumps({"format": "amia-rates-1", "plan": {"gpu": "l4", "stages": {"synthesized": STAGE}}}))
    rates, under = load_rates(str(file)), load_rates("a100")
    assert rates.gpu == "l4"
    assert rates.stages["synthesized"].cpu_s == 0.5
    assert rates.stages["posts"] == under.stages["posts"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ('{"stages": {}}', "has no rates to plan with"),
        ("[1, 2]", "has no rates to plan with"),
        ('{"plan": {"efficiency": 2}}', "efficiency: Input should be less than or equal to 1"),
        ('{"plan": {"speed": 2}}', "speed: Extra inputs"),
        ('{"plan": {"stages": {"posts": {"cpu_s": -1}}}}', "stages.posts.cpu_s"),
    ],
)
def test_a_file_that_is_none_of_rates(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "rates.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match=said):
        load_rates(str(file))


def test_no_file() -> None:
    with pytest.raises(SettingsError, match=r"missing\.json cannot be read"):
        load_rates("missing.json")


def test_another_size_is_paid_by_the_pixel_where_pixels_are_written() -> None:
    rates: Rates = load_rates("a100")
    half = rates.at(rates.size // 2)
    for name in ("synthesized", "augmented"):
        assert half.stages[name].cpu_s == pytest.approx(rates.stages[name].cpu_s / 4)
        assert half.stages[name].bytes == pytest.approx(rates.stages[name].bytes / 4)
    assert half.stages["synthesized"].gpu_s == pytest.approx(rates.stages["synthesized"].gpu_s / 4)
    assert half.stages["embeddings"] == rates.stages["embeddings"]
    assert rates.at(rates.size) == rates
