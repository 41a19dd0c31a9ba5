"""The outlook of a corpus on maps with known values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.experiments.map_lookup import Location
from amia.experiments.match_shares import MatchShares, Share
from amia.experiments.outlook import CAUTION, FitInfo, Outlook, make_outlook
from tests.helpers.when_maps import linear_gain, make_map, make_share

FIT = FitInfo(images=1200, min_images=200)
COMMAND = "amia augment --run r --arm two-sided"


def outlook_of(original: Share, synthesized: Share | None, *, when: Any = "linear", **fit: Any) -> Outlook:
    total = MatchShares(original=original, synthesized=synthesized)
    info = FitInfo(**{"images": FIT.images, "min_images": FIT.min_images, **fit})
    return make_outlook(make_map() if when == "linear" else when, {"train": total}, total, info, COMMAND)


def place(mismatched: float, known: float, total: int = 100_000) -> tuple[Share, Share]:
    """Return the shares that the map measured at a place."""
    return make_share(0.95 - 0.9 * mismatched, total), make_share(0.1 + 0.8 * known, total)


@pytest.mark.parametrize(
    ("where", "summary"),
    [
        ((0.5, 0.9), "Adaptive and two-sided images are likely to help, compared with the posts' own images"),
        ((0.1, 0.6), "Adaptive and two-sided images are likely to hurt, compared with the posts' own images"),
        ((0.3, 0.7), "Adaptive and two-sided images may help or hurt, compared with"),
    ],
)
def test_tells_the_sign(where: tuple[float, float], summary: str) -> None:
    outlook = outlook_of(*place(*where))
    assert outlook.summary.startswith(summary)
    assert outlook.cautions == (CAUTION,)
    assert outlook.location is not None
    assert (outlook.location.mismatched, outlook.location.known) == pytest.approx(where, abs=0.01)
    for gain in outlook.gains:
        assert gain.over_original[0] == pytest.approx(linear_gain(*where), abs=0.3)
        assert gain.over_text[0] == pytest.approx(2 + linear_gain(*where), abs=0.3)


def test_tells_arms_apart() -> None:
    when = make_map()
    points = [
        point.model_copy(
            update={"arms": {**point.arms, "two-sided": make_map(gain=lambda m, k: 5.0).points[0].arms["two-sided"]}}
        )
        for point in when.points
    ]
    outlook = outlook_of(*place(0.0, 0.5), when=when.model_copy(update={"points": tuple(points)}))
    assert outlook.summary.startswith(
        "Adaptive images are likely to hurt, two-sided images are likely to help, compared"
    )


@given(st.floats(0, 0.6), st.floats(0.5, 1), st.sampled_from([300, 1000, 10_000]))
def test_interval_covers_those_of_map_and_shares(mismatched: float, known: float, images: int) -> None:
    original, synthesized = place(mismatched, known, images)
    (gain, _) = outlook_of(original, synthesized).gains
    value, low, high = gain.over_original
    assert low <= value - 1 + 1e-9
    assert high >= value + 1 - 1e-9
    for share in original.interval:
        # The gain rises with the share of mismatched images, which falls with that of matched ones.
        corner = linear_gain(min(0.6, max(0.0, (0.95 - share) / 0.9)), (synthesized.value - 0.1) / 0.8)
        step = 0.3  # between neighboring places
        assert low - step <= corner - 1
        assert corner + 1 <= high + step


def test_few_posts() -> None:
    shares = place(0.5, 0.9)
    few = outlook_of(*shares, images=15)
    assert few.summary == ("Cannot tell (too few posts): 15 images to fit a mixture on, and at least 200 are needed.")
    assert (few.location, few.gains) == (None, ())
    assert outlook_of(*shares, images=15, when=None).summary == few.summary
    wide = outlook_of(Share(matched=45, total=90), shares[1])
    assert wide.summary == (
        "Cannot tell (too few posts): of the own images, 40% to 60% match (95 % interval of 90 images), which spans "
        "more than 20%."
    )
    assert "of the synthesized images" in outlook_of(shares[0], Share(matched=45, total=90)).summary


@given(st.integers(93, 10_000), st.floats(0, 1))
def test_93_images_suffice(total: int, value: float) -> None:
    low, high = make_share(value, total).interval
    assert high - low <= 0.2


def test_says_what_is_missing() -> None:
    original, synthesized = place(0.5, 0.9)
    unscored = outlook_of(original, None)
    assert unscored.summary == "Cannot tell yet: the share of synthesized images that match is not known."
    assert f"`{COMMAND}` computes it" in unscored.cautions[0]
    assert "no map" in outlook_of(original, synthesized, when=None).summary
    rejected = outlook_of(original, synthesized, rejection_reason="one component describes the losses better")
    assert rejected.summary == (
        "Cannot tell: the checks rejected the mixture of this run, since one component describes the losses better."
    )


def test_cautions() -> None:
    borrowed = outlook_of(*place(0.5, 0.9), is_borrowed=True)
    assert borrowed.cautions[0] == "Theta is that of a mixture that was fitted on other posts."
    outside = outlook_of(make_share(0.99), make_share(0.99))
    assert outside.location == Location(0.0, 1.0, True)
    assert "No corpus of the map" in outside.cautions[-1]
