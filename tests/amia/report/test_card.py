"""What a card says of models and sizes that no run here has."""

import pytest

from amia.report.attribution import Attribution, license_of
from amia.report.card import Card, SplitThetas


def card(posts: int, *models: Attribution, arm: str = "fixed-0.3") -> str:
    return Card(
        arm=arm,
        splits={"test": posts, "dev_b": 1, "train": 0, "validation": 0},
        features=[{"name": "id", "dtype": "string"}],
        thetas={"test": SplitThetas(bars=[0] * 9 + [2], matched=2), "train": SplitThetas(bars=[0] * 10, matched=0)},
        counts={"image=ok|synthesis=ok": 1, "image=ok|synthesis=failed(blank)": 2},
        ratio={"none": 1, "blend": 2},
        models=models,
        size=512,
        settings={"seed": 0},
    ).render()


@pytest.mark.parametrize(
    ("posts", "bracket"),
    [(998, "n<1K"), (999, "1K<n<10K"), (9_999, "10K<n<100K"), (10**6, "1M<n<10M"), (10**9, "1B<n<10B")],
)
def test_the_hub_s_brackets_of_size(posts: int, bracket: str) -> None:
    assert f"- {bracket}\n" in card(posts)


def test_splits_stand_in_the_order_that_people_expect() -> None:
    text = card(1)
    places = [text.index(f"- split: {split}\n    path: {split}-*.parquet") for split in ("train", "validation", "test")]
    assert sorted(places) == places
    assert places[-1] < text.index("- split: dev_b")
    assert "| matched |  | 100.0% |" in text, "no share of no posts"
    assert "blended with a share of 0.3 of its own" in text


def test_a_model_of_the_hub_is_named_with_its_commit_and_license() -> None:
    weights = "stabilityai/sdxl-turbo@71153311d3db"
    line = Attribution(role="Generator", name="stabilityai/sdxl-turbo", weights=weights).line()
    assert "https://huggingface.co/stabilityai/sdxl-turbo/tree/71153311d3db" in line
    assert "non-commercial" in line
    assert "stability.ai/license" in line
    assert "Made with demo weights" not in card(1, Attribution(role="Generator", name="a/b", weights="a/b@c"))


def test_a_folder_is_known_by_its_weights_and_its_path_is_not_told() -> None:
    line = Attribution(role="Encoder", name="/home/ada/secret/clip", weights="sha256:0123").line()
    assert "ada" not in line
    assert "sha256:0123" in line
    assert "owner" in line


def test_an_unknown_license_is_said_to_be_unknown() -> None:
    assert "look at the model's card" in license_of("somebody/else")
    for known in ("openai/clip-vit-base-patch16", "stabilityai/sd-turbo", "stabilityai/sdxl-turbo", "demo:clip"):
        assert "not known" not in license_of(known)
