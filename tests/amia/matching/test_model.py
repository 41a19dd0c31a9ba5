"""The matching model: files, splits, and compatibility of losses."""

import json
from dataclasses import replace

import numpy as np
import pytest

from amia.errors import IdentityError, MixtureError
from amia.matching.bank import Bank
from amia.matching.gmm import Mixture, MixtureSettings
from amia.matching.gmm_fit import MixtureFit, fit_mixture
from amia.matching.model import MatchingModel, fit_groups
from amia.matching.triplet import TripletSettings

LOSSES = np.concatenate([np.linspace(0, 0.1, 300), np.linspace(0.4, 0.6, 200)])


def fitted_model(bank: Bank, names: tuple[str, ...] = ("train",)) -> MatchingModel:
    fits = {name: fit_mixture(LOSSES + shift, MixtureSettings()) for shift, name in enumerate(names)}
    return MatchingModel(fits, bank, {"encoder": "a/clip@1"}, TripletSettings())


@pytest.fixture
def model(posts) -> MatchingModel:
    return fitted_model(Bank.of([posts(5)], 5))


@pytest.mark.parametrize("cosine_range", [None, (-0.1, 0.4)])
def test_file_round_trip(model, cosine_range, tmp_path):
    model = replace(model, cosine_range=cosine_range)
    model.save(tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    for path in (folder, folder / "mixture.json"):
        restored = MatchingModel.load(path)
        assert restored.fits == model.fits
        assert restored.cosine_range == cosine_range
        assert restored.to_bytes() == model.to_bytes()
        assert np.array_equal(restored.theta(LOSSES, "test"), model.theta(LOSSES, "test"))


def test_theta_of_splits(model, posts):
    assert np.array_equal(model.theta(LOSSES, "train"), model.theta(LOSSES, "other"))
    several = fitted_model(Bank.of([posts(5)], 5), ("train", "test"))
    assert np.allclose(several.theta(LOSSES, "train"), several.theta(LOSSES + 1, "test"))
    with pytest.raises(MixtureError, match="no mixture was fitted for split 'validation'; there are train, test"):
        several.theta(LOSSES, "validation")


@pytest.mark.parametrize(
    ("fit_on", "splits", "groups"),
    [
        ("train", ["train", "test"], {"train": ("train",)}),
        ("train", ["test", "validation"], {"all": ("test", "validation")}),
        ("joint", ["train", "test"], {"all": ("train", "test")}),
        ("per_split", ["train", "test"], {"train": ("train",), "test": ("test",)}),
    ],
)
def test_fit_groups(fit_on, splits, groups):
    assert fit_groups(fit_on, splits) == groups


def test_rejects_incompatible_losses(model):
    model.check({"encoder": "a/clip@1"}, TripletSettings())
    model.check({"encoder": "a/clip@1"}, TripletSettings(bank=512, batch=8))
    with pytest.raises(IdentityError, match=r"encoder: a/clip@1 in the mixture, sha256:f00 here"):
        model.check({"encoder": "sha256:f00"}, TripletSettings())
    with pytest.raises(IdentityError, match=r"margin: 0.1 in the mixture, 0.2 here"):
        model.check({"encoder": "a/clip@1"}, TripletSettings(margin=0.2))
    with pytest.raises(IdentityError, match=r"batch: - in the mixture, 64 here"):
        model.check({"encoder": "a/clip@1"}, TripletSettings(negatives="batch"))


def test_rejects_missing_or_mismatched_files(model, posts, tmp_path):
    with pytest.raises(MixtureError, match="cannot read a fitted mixture"):
        MatchingModel.load(tmp_path)
    model.save(tmp_path)
    fitted_model(Bank.of([posts(6)], 6)).bank.save(tmp_path / "bank.safetensors")
    with pytest.raises(MixtureError, match="do not belong together"):
        MatchingModel.load(tmp_path)
    data = json.loads(model.to_bytes()["mixture.json"])
    for broken in (b"", b"[]", b'{"format": "x"}', json.dumps({**data, "fits": {}}).encode(), b"\xff"):
        with pytest.raises(MixtureError, match="is not a mixture written by amia"):
            MatchingModel.from_bytes(broken, model.bank.to_bytes())


@pytest.mark.parametrize(
    "change",
    [{"low": "x"}, {"high": -1.0}, {"weights": [1]}, {"means": [0.9, 0.1]}, {"variances": [0, 1]}, {"low": None}],
)
def test_rejects_invalid_mixture(model, change):
    data = model.fits["train"].mixture.to_json()
    assert Mixture.from_json(data) == model.fits["train"].mixture
    with pytest.raises(MixtureError):
        Mixture.from_json({**data, **change})
    with pytest.raises(MixtureError, match="not a fit"):
        MixtureFit.from_json({"mixture": data})
