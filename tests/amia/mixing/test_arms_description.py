"""The arms in words."""

import pytest

from amia.errors import SettingsError
from amia.mixing.arms import ARMS, describe_arm


def test_every_arm_has_words_of_its_own() -> None:
    assert len({describe_arm(arm) for arm in ARMS}) == len(ARMS)
    shares = [arm for arm in ARMS if "with a share of" in describe_arm(arm)]
    assert shares == [arm for arm in ARMS if arm.startswith("fixed-")]
    assert describe_arm("fixed-0.35").endswith("a share of 0.35 of its own")


def test_an_unknown_arm_has_none() -> None:
    with pytest.raises(SettingsError, match="did you mean 'adaptive'"):
        describe_arm("adaptve")
