"""Rare names of the demo world: twins differ in nothing but their letters."""

import random
from collections import Counter

import pytest

from amia.demo.drawing.appearance import get_look
from amia.demo.names import AMBIGUOUS_NAMES, FAMOUS_NAMES, KINDS
from amia.demo.rare_names import TWINS_PER_KIND, invent_name, rare_twins

ALL_TWINS = [twins for kind in KINDS for twins in rare_twins(kind)]


def words(entity):
    return entity.surface.split()


def test_counts():
    assert Counter(twins.known.kind for twins in ALL_TWINS) == TWINS_PER_KIND
    assert len(ALL_TWINS) > 1200


def test_names_are_distinct():
    names = [entity.surface.lower() for twins in ALL_TWINS for entity in (twins.known, twins.unknown)]
    names += [name.lower() for of_kind in FAMOUS_NAMES.values() for name in of_kind] + [
        *map(str.lower, AMBIGUOUS_NAMES)
    ]
    assert len(set(names)) == len(names)


def test_no_invented_word_is_shared():
    """A word that two names share would let one of them reveal the type of the other, beyond the words of forms."""
    counts = Counter(word for twins in ALL_TWINS for e in (twins.known, twins.unknown) for word in set(words(e)))
    assert {word for word, count in counts.items() if count > 1} == {
        word for twins in ALL_TWINS for word in set(words(twins.known)) & set(words(twins.unknown)) if counts[word] > 1
    }


def test_twins_have_same_type_form_length_and_look():
    for twins in ALL_TWINS:
        assert twins.known.kind == twins.unknown.kind
        assert [len(word) for word in words(twins.known)] == [len(word) for word in words(twins.unknown)]
        pairs = list(zip(words(twins.known), words(twins.unknown), strict=True))
        differing = [first for first, second in pairs if first != second]
        assert 1 <= len(differing) <= 2
        assert get_look(twins.known) == get_look(twins.unknown)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8, 1.0])
def test_share_of_known_names_is_exact_for_each_type(share):
    for kind in KINDS:
        known = sum(twins.choose(share) == twins.known for twins in rare_twins(kind))
        assert known == round(share * TWINS_PER_KIND[kind])


def test_known_names_remain_known_at_greater_shares():
    assert all(twins.choose(0.8) == twins.known for twins in ALL_TWINS if twins.choose(0.5) == twins.known)


def test_half_of_the_names_have_a_typical_form():
    typical = [len(set(words(twins.known)) & set(words(twins.unknown))) > 0 for twins in ALL_TWINS]
    assert sum(typical) / len(typical) == pytest.approx(0.5, abs=0.05)


def test_nothing_in_the_letters_says_whether_a_name_is_known():
    """The frequencies of first letters of known and of unknown names differ by no more than chance."""
    known, unknown = (
        Counter(word[0] for twins in ALL_TWINS for word in words(getattr(twins, which)))
        for which in ("known", "unknown")
    )
    letters = set(known) | set(unknown)
    statistic = sum((known[x] - unknown[x]) ** 2 / (known[x] + unknown[x]) for x in letters)
    assert statistic < 2 * len(letters)


def test_invented_names_are_no_twins():
    taken = {word for twins in ALL_TWINS for e in (twins.known, twins.unknown) for word in words(e)}
    shared = {word for twins in ALL_TWINS for word in set(words(twins.known)) & set(words(twins.unknown))}
    rng = random.Random(0)
    for kind in KINDS:
        names = [invent_name(kind, rng) for _ in range(100)]
        assert {name.kind for name in names} == {kind}
        assert not {word for name in names for word in words(name)} & (taken - shared)
