"""Objects loaded in `freeze_gc_after` are excluded from garbage collection; later garbage is collected as usual."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from ray_jobs.runtime.stage_actor import freeze_gc_after


class Cycle:
    """Garbage that only the garbage collector finds."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def unfreeze_after_test() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_frozen_objects_are_never_collected() -> None:
    count = gc.get_freeze_count()
    with freeze_gc_after():
        assert not gc.isenabled()
        reference = weakref.ref(Cycle())
    assert gc.isenabled()
    assert gc.get_freeze_count() > count
    gc.collect()
    assert reference() is not None


def test_later_garbage_is_collected() -> None:
    with freeze_gc_after():
        pass
    reference = weakref.ref(Cycle())
    gc.collect()
    assert reference() is None


def test_error_reenables_collection() -> None:
    with pytest.raises(ValueError, match="no model"), freeze_gc_after():
        raise ValueError("no model")
    assert gc.isenabled()
