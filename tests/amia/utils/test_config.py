"""Trees of settings."""

from amia.utils.config import deep_merge, expand_dotted


def test_deep_merge_keeps_untouched_values() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": 3}
    assert deep_merge(base, {"a": {"c": 4}, "d": {"e": 5}}) == {"a": {"b": 1, "c": 4}, "d": {"e": 5}}
    assert base == {"a": {"b": 1, "c": 2}, "d": 3}


def test_expand_dotted() -> None:
    assert expand_dotted("a.b.c", 1) == {"a": {"b": {"c": 1}}}
