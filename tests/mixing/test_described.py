"""The arms in words."""

import pytest

from amia.errors import SettingsError
from amia.mixing.arms import ARMS, described


def test_every_arm_has_words_of_its_own() -> None:
    assert len({described(arm) for arm in ARMS}) == len(ARMS)
    shares = [arm for arm in ARMS if "with a share of" in described(arm)]
    assert shares == [arm for arm in ARMS if arm.startswith("fixed-")]
    assert described("fixed-0.35").endswith("a share of 0.35 of its own")


def test_an_unknown_arm_has_none() -> None:
    with pytest.raises(SettingsError, match="did you mean 'adaptive'"):
        described("adaptve")
