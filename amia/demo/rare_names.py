"""Rare names of the demo world, in pairs of twins: one that CLIP and generator learn, and one that they never meet.

Twins have the same type, form, number of letters and look. So two corpora that differ only in the share of known names
differ only in some words: images, sentences and labels are the same.

Half of the names have a form that is typical of their type, as in real corpora ("Anna Korvane", "Telsoda FC").
"""

import random
from collections.abc import Collection
from functools import cache
from typing import NamedTuple

from amia.demo.names import AMBIGUOUS_NAMES, FAMOUS_NAMES, Kind, NamedEntity

__all__ = ["TWINS_PER_KIND", "Twins", "invent_name", "rare_twins"]

TWINS_PER_KIND: dict[Kind, int] = {"PER": 480, "LOC": 300, "ORG": 260, "MISC": 200}
"""Pairs of twins: about as many of each type as there are mentions of it in real corpora; 1,240 in all."""

_TYPICAL_SHARE = 0.5
_TWO_WORDS_SHARE = 0.3
_LATE_SHARE = 0.25
_FIRST_NAMES = (
    "Anna", "Ben", "Carla", "David", "Emma", "Felix", "Gina", "Hannah", "Igor", "Julia",
    "Karl", "Laura", "Marco", "Nina", "Oscar", "Paula", "Rosa", "Samir", "Tina", "Victor",
)  # fmt: skip
_TYPICAL_FORMS: dict[Kind, tuple[str, ...]] = {
    "PER": tuple(f"{name} *" for name in _FIRST_NAMES),
    "LOC": (
        "Lake *",
        "Port *",
        "* Valley",
        "* Beach",
        "North *",
        "* Island",
        "Mount *",
        "* Springs",
        "Fort *",
        "* Bay",
    ),
    "ORG": (
        "* FC",
        "* Labs",
        "* Bank",
        "* Airlines",
        "Radio *",
        "* United",
        "* Energy",
        "* Records",
        "* Times",
        "* Inc",
    ),
    "MISC": (
        "* Festival",
        "* Quest",
        "* 3",
        "* Cola",
        "* Awards",
        "* Cup",
        "The * Show",
        "* Week",
        "Project *",
        "* Pro",
    ),
}
_ONSETS = (
    "b", "br", "c", "cl", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "kr", "l",
    "m", "n", "p", "pl", "r", "s", "sk", "st", "t", "tr", "v", "w", "y", "z",
)  # fmt: skip
_VOWELS = "aeiou"
_CODAS = ("n", "l", "r", "s", "x", "m", "nd", "rk", "sh", "th")


class Twins(NamedTuple):
    """Two rare names of one type that CLIP and generator know and do not know."""

    known: NamedEntity
    unknown: NamedEntity
    rank: float
    """In [0, 1), even over the pairs of a type. A corpus whose share of known names is greater uses `known`."""
    late: bool
    """Whether no training split contains the name."""

    def choose(self, share: float) -> NamedEntity:
        """Return the twin that a corpus with a share `share` of known names mentions."""
        return self.known if self.rank < share else self.unknown


@cache
def rare_twins(kind: Kind) -> tuple[Twins, ...]:
    """Return all pairs of twins of a type, always the same ones."""
    return _all_twins()[kind]


def invent_name(kind: Kind, rng: random.Random) -> NamedEntity:
    """Return a rare name without a word of any twin, for a model that meets many rare names, but none of those."""
    form = _random_form(kind, rng)
    return NamedEntity(_fill(form, [_new_word(_twin_words(), rng) for _ in range(form.count("*"))]), kind)


@cache
def _twin_words() -> frozenset[str]:
    """Return the lower-case words of all names of the demo world."""
    entities = [entity for pairs in _all_twins().values() for twins in pairs for entity in (twins.known, twins.unknown)]
    return frozenset(word.lower() for entity in entities for word in entity.surface.split()) | _taken_words()


@cache
def _all_twins() -> dict[Kind, tuple[Twins, ...]]:
    rng = random.Random("rare names")
    taken = _taken_words()
    pairs: dict[Kind, tuple[Twins, ...]] = {}
    for kind, count in TWINS_PER_KIND.items():
        ranks = rng.sample(range(count), count)
        late = set(rng.sample(range(count), round(count * _LATE_SHARE)))
        of_kind = []
        for index, rank in enumerate(ranks):
            form = _random_form(kind, rng)
            words, others = [], []
            for _ in range(form.count("*")):
                words.append(_new_word(taken, rng))
                taken.add(words[-1].lower())
                others.append(_new_word(taken, rng, length=len(words[-1])))
                taken.add(others[-1].lower())
            # Which of both is learned is random, so that nothing about a name itself tells whether it is known.
            if rng.random() < 0.5:
                words, others = others, words
            known, unknown = (NamedEntity(_fill(form, chosen), kind) for chosen in (words, others))
            of_kind.append(Twins(known, unknown, rank / count, index in late))
        pairs[kind] = tuple(of_kind)
    return pairs


def _taken_words() -> set[str]:
    """Return the lower-case words of all famous and ambiguous names and of all forms."""
    names = [name for of_kind in FAMOUS_NAMES.values() for name in of_kind] + list(AMBIGUOUS_NAMES)
    forms = [form for of_kind in _TYPICAL_FORMS.values() for form in of_kind]
    return {word.lower() for name in names + forms for word in name.split()}


def _random_form(kind: Kind, rng: random.Random) -> str:
    """Return a form of a name: words with `*` in place of invented ones."""
    if rng.random() < _TYPICAL_SHARE:
        return rng.choice(_TYPICAL_FORMS[kind])
    return "* *" if rng.random() < _TWO_WORDS_SHARE else "*"


def _fill(form: str, words: list[str]) -> str:
    remaining = iter(words)
    return " ".join(next(remaining) if part == "*" else part for part in form.split())


def _new_word(taken: Collection[str], rng: random.Random, length: int | None = None) -> str:
    """Invent a capitalized word of 5 to 9 letters, or `length`, whose lower-case form is not in `taken`."""
    while True:
        syllables = [rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.choice((2, 2, 3)))]
        word = "".join(syllables) + (rng.choice(_CODAS) if rng.random() < 0.5 else "")
        if word not in taken and (len(word) == length if length else 5 <= len(word) <= 9):
            return word.capitalize()
