"""What loads for good is no garbage, and garbage of later is found as ever."""

import gc
import weakref

import pytest

from ray_jobs.runtime.gc_freeze import freeze_gc_after


class Ring:
    """Garbage that only a search finds."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def thawed():
    yield
    gc.unfreeze()


def test_nothing_is_searched_inside_and_what_was_made_there_never():
    before = gc.get_freeze_count()
    with freeze_gc_after():
        assert not gc.isenabled()
        made = weakref.ref(Ring())
    assert gc.isenabled()
    assert gc.get_freeze_count() > before
    gc.collect()
    assert made() is not None


def test_garbage_of_later_is_found():
    with freeze_gc_after():
        pass
    later = weakref.ref(Ring())
    gc.collect()
    assert later() is None


def test_an_error_leaves_the_search_on():
    with pytest.raises(ValueError, match="no model"), freeze_gc_after():
        raise ValueError("no model")
    assert gc.isenabled()
