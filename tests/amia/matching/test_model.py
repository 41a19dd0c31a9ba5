import json
from dataclasses import replace

import numpy as np
import pytest

from amia.errors import IdentityError, MixtureError
from amia.matching.bank import Bank
from amia.matching.gmm import Mixture, MixtureSettings
from amia.matching.gmm_fit import Fit, fit_mixture
from amia.matching.model import MatchingModel, fit_groups
from amia.matching.triplet import TripletSettings

LOSSES = np.concatenate([np.linspace(0, 0.1, 300), np.linspace(0.4, 0.6, 200)])


def frozen(bank: Bank, names: tuple[str, ...] = ("train",)) -> MatchingModel:
    fits = {name: fit_mixture(LOSSES + place, MixtureSettings()) for place, name in enumerate(names)}
    return MatchingModel(fits, bank, {"encoder": "a/clip@1"}, TripletSettings())


@pytest.fixture
def one(posts) -> MatchingModel:
    return frozen(Bank.of([posts(5)], 5))


@pytest.mark.parametrize("cosine_range", [None, (-0.1, 0.4)])
def test_files_give_back_the_same_measure(one, cosine_range, tmp_path):
    one = replace(one, cosine_range=cosine_range)
    one.save(tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    for place in (folder, folder / "mixture.json"):
        again = MatchingModel.load(place)
        assert again.fits == one.fits
        assert again.cosine_range == cosine_range
        assert again.to_bytes() == one.to_bytes()
        assert np.array_equal(again.theta(LOSSES, "test"), one.theta(LOSSES, "test"))


def test_one_mixture_serves_every_split_and_several_their_own(one, posts):
    assert np.array_equal(one.theta(LOSSES, "train"), one.theta(LOSSES, "whatever"))
    several = frozen(Bank.of([posts(5)], 5), ("train", "test"))
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
def test_which_losses_a_mixture_is_fitted_on(fit_on, splits, groups):
    assert fit_groups(fit_on, splits) == groups


def test_other_losses_are_refused_with_both_sides_named(one):
    one.check({"encoder": "a/clip@1"}, TripletSettings())
    one.check({"encoder": "a/clip@1"}, TripletSettings(bank=512, batch=8))
    with pytest.raises(IdentityError, match=r"encoder: a/clip@1 in the mixture, sha256:f00 here"):
        one.check({"encoder": "sha256:f00"}, TripletSettings())
    with pytest.raises(IdentityError, match=r"margin: 0.1 in the mixture, 0.2 here"):
        one.check({"encoder": "a/clip@1"}, TripletSettings(margin=0.2))
    with pytest.raises(IdentityError, match=r"batch: - in the mixture, 64 here"):
        one.check({"encoder": "a/clip@1"}, TripletSettings(negatives="batch"))


def test_files_that_are_missing_foreign_or_mixed_up(one, posts, tmp_path):
    with pytest.raises(MixtureError, match="no frozen mixture can be read"):
        MatchingModel.load(tmp_path)
    one.save(tmp_path)
    frozen(Bank.of([posts(6)], 6)).bank.save(tmp_path / "bank.safetensors")
    with pytest.raises(MixtureError, match="do not belong together"):
        MatchingModel.load(tmp_path)
    about = json.loads(one.to_bytes()["mixture.json"])
    for broken in (b"", b"[]", b'{"format": "x"}', json.dumps({**about, "fits": {}}).encode(), b"\xff"):
        with pytest.raises(MixtureError, match="is no mixture written by amia"):
            MatchingModel.from_bytes(broken, one.bank.to_bytes())


@pytest.mark.parametrize(
    "spoilt",
    [{"low": "x"}, {"high": -1.0}, {"weights": [1]}, {"means": [0.9, 0.1]}, {"variances": [0, 1]}, {"low": None}],
)
def test_a_mixture_that_cannot_be(one, spoilt):
    data = one.fits["train"].mixture.to_json()
    assert Mixture.from_json(data) == one.fits["train"].mixture
    with pytest.raises(MixtureError):
        Mixture.from_json({**data, **spoilt})
    with pytest.raises(MixtureError, match="no fit"):
        Fit.from_json({"mixture": data})
