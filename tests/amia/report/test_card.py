"""Tests of data set cards and attributions for models and sizes that no test run has."""

import pytest

from amia.mixing.arms import describe_arm
from amia.report.attribution import Attribution, license_of
from amia.report.card import Card
from amia.report.view_models import ThetaHistogram


def render_card(posts: int, *models: Attribution, arm: str = "fixed-0.3") -> str:
    return Card(
        arm=arm,
        splits={"test": posts, "dev_b": 1, "train": 0, "validation": 0},
        features=[{"name": "id", "dtype": "string"}],
        thetas={
            "test": ThetaHistogram(split="test", counts=[0] * 9 + [2], matched=2),
            "train": ThetaHistogram(split="train", counts=[0] * 10, matched=0),
        },
        counts={"image=ok|synthesis=ok": 1, "image=ok|synthesis=failed(blank)": 2},
        ratio={"none": 1, "blend": 2},
        models=models,
        size=512,
        settings={"seed": 0},
    ).render()


@pytest.mark.parametrize(
    ("posts", "category"),
    [(998, "n<1K"), (999, "1K<n<10K"), (9_999, "10K<n<100K"), (10**6, "1M<n<10M"), (10**9, "1B<n<10B")],
)
def test_size_categories(posts: int, category: str) -> None:
    assert f"- {category}\n" in render_card(posts)


def test_order_of_splits() -> None:
    text = render_card(1)
    positions = [text.index(f"- split: {name}\n    path: {name}-*.parquet") for name in ("train", "validation", "test")]
    assert sorted(positions) == positions
    assert positions[-1] < text.index("- split: dev_b")
    assert "| matched |  | 100.0% |" in text, "no share for a split without posts"
    assert describe_arm("fixed-0.3") in text


def test_hub_model_has_commit_and_license() -> None:
    weights = "stabilityai/sdxl-turbo@71153311d3db"
    line = Attribution(role="Generator", name="stabilityai/sdxl-turbo", weights=weights).to_markdown()
    assert "https://huggingface.co/stabilityai/sdxl-turbo/tree/71153311d3db" in line
    assert "non-commercial" in line
    assert "stability.ai/license" in line
    assert "Made with demo weights" not in render_card(1, Attribution(role="Generator", name="a/b", weights="a/b@c"))


def test_path_of_a_local_folder_is_not_disclosed() -> None:
    line = Attribution(role="Encoder", name="/home/ada/secret/clip", weights="sha256:0123").to_markdown()
    assert "ada" not in line
    assert "sha256:0123" in line
    assert "owner" in line


def test_unknown_license() -> None:
    assert "see the model card" in license_of("somebody/else")
    for known in ("openai/clip-vit-base-patch16", "stabilityai/sd-turbo", "stabilityai/sdxl-turbo", "demo:clip"):
        assert "not known" not in license_of(known)
