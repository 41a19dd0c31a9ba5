"""Sentences of the demo world: sections, placeholders, and that neutral ones do not reveal types."""

from itertools import combinations, combinations_with_replacement

import pytest

from amia.demo.names import KINDS
from amia.demo.templates import ANY, fillers, neutral_templates, typed_templates

SECTIONS = ("pretraining", "train", "test")
COMBINATIONS = [kinds for count in (1, 2, 3) for kinds in combinations_with_replacement(sorted(KINDS), count)]


def sentences(section):
    neutral = [template.words for count in (1, 2, 3) for template in neutral_templates(section, count)]
    return neutral + [t.words for kinds in COMBINATIONS for t in typed_templates(section, kinds)] + [*fillers(section)]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_combination_of_types_has_templates(section):
    assert all(len(typed_templates(section, kinds)) >= 3 for kinds in COMBINATIONS)
    assert all(len(neutral_templates(section, count)) >= 25 for count in (1, 2, 3))
    assert len(fillers(section)) >= 90


@pytest.mark.parametrize("section", SECTIONS)
def test_placeholders(section):
    for count in (1, 2, 3):
        for template in neutral_templates(section, count):
            assert template.is_neutral
            assert template.placeholders == (ANY,) * count
    for kinds in COMBINATIONS:
        for template in typed_templates(section, kinds):
            assert not template.is_neutral
            assert tuple(sorted(template.placeholders)) == kinds
    assert not {word for words in fillers(section) for word in words} & {*KINDS, ANY}


def test_sections_share_no_sentence():
    by_section = {section: sentences(section) for section in SECTIONS}
    for section, words in by_section.items():
        assert len(set(words)) == len(words), section
    assert not any(set(by_section[first]) & set(by_section[second]) for first, second in combinations(SECTIONS, 2))


def test_every_line_is_used():
    """A line with a misspelled placeholder or in a misspelled section would never be drawn."""
    from amia.demo.templates import _TEXT

    lines = [line for file in _TEXT.iterdir() for line in file.read_text(encoding="utf-8").splitlines()]
    used = {" ".join(words) for section in SECTIONS for words in sentences(section)}
    assert {line for line in lines if line.strip() and not line.startswith("[")} == used
