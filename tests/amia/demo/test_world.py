"""Posts of the demo world: tags, names, sections, and what their images show."""

import random
from collections import Counter

import numpy as np
import pytest

from amia.demo.drawing.appearance import Variation, get_look
from amia.demo.drawing.scene import draw_scene
from amia.demo.names import AMBIGUOUS, AMBIGUOUS_NAMES, FAMOUS, KINDS, NamedEntity, readings
from amia.demo.rare_names import rare_twins
from amia.demo.shares import PRETRAINING, REALISTIC, PostShares
from amia.demo.templates import neutral_templates, typed_templates
from amia.demo.world import draw_kinds, draw_posts, draw_visible, reword, scramble

UNKNOWN = {twins.unknown for kind in KINDS for twins in rare_twins(kind)}
KNOWN = {twins.known for kind in KINDS for twins in rare_twins(kind)}


def spans(post):
    """Return the surface names and types that the tags of a post mark, in lower case."""
    found = []
    for token, tag in zip(post.tokens, post.tags, strict=True):
        if tag.startswith("B-"):
            found.append([token, tag[2:]])
        elif tag.startswith("I-"):
            assert found[-1][1] == tag[2:]
            found[-1][0] += f" {token}"
    return [(surface.lower(), kind) for surface, kind in found]


def mentioned(post):
    return [(entity.surface.lower(), entity.kind) for entity in post.entities]


def test_looks_of_famous_and_ambiguous_names_are_unique():
    for kind in KINDS:
        looks = [get_look(entity) for entity in FAMOUS[kind] + AMBIGUOUS[kind]]
        assert len({(look.style, look.main) for look in looks}) == len(looks)


def test_readings_of_ambiguous_names_look_different():
    for surface, kinds in AMBIGUOUS_NAMES.items():
        entities = readings(NamedEntity(surface, kinds[0]))
        assert {entity.kind for entity in entities} == set(kinds)
        first, second = (np.asarray(draw_scene([entity], Variation()).image, int) for entity in entities)
        assert np.abs(first - second).mean() > 10


@pytest.mark.parametrize("section", ["pretraining", "train", "test"])
def test_tags_match_entities(section):
    for post in draw_posts(200, 1, section):
        assert spans(post) == mentioned(post)
        assert post.template in (
            *neutral_templates(section, len(post.entities)),
            *typed_templates(section, tuple(sorted(entity.kind for entity in post.entities))),
        )


def test_pretraining_posts_mention_all_known_names_and_no_unknown_one():
    mentions = Counter(entity for post in draw_posts(12_000, 0, "pretraining") for entity in post.entities)
    assert mentions.keys() >= KNOWN
    assert not mentions.keys() & UNKNOWN


def test_rare_names_of_other_posts():
    for rare, missing in (("unknown", KNOWN), ("invented", KNOWN | UNKNOWN)):
        entities = {entity for post in draw_posts(500, 0, "pretraining", rare) for entity in post.entities}
        assert not entities & missing
    assert {e for post in draw_posts(500, 0, "train", "unknown") for e in post.entities} & UNKNOWN


@pytest.mark.parametrize("change", [reword, scramble])
def test_other_sentences_keep_the_entities(change):
    rng = random.Random(3)
    for post in draw_posts(200, 2, "pretraining"):
        other = change(post, rng)
        assert sorted(other.entities) == sorted(post.entities)
        assert spans(other) == mentioned(other)


def test_rewording_keeps_a_neutral_sentence_neutral():
    rng = random.Random(4)
    for post in draw_posts(200, 3, "pretraining"):
        assert reword(post, rng).template.is_neutral == post.template.is_neutral


def test_number_of_entities_and_repeated_types():
    rng = random.Random(0)
    drawn = [draw_kinds(REALISTIC.posts, rng) for _ in range(4000)]
    sizes = Counter(map(len, drawn))
    for count, share in zip((1, 2, 3), REALISTIC.posts.entities, strict=True):
        assert sizes[count] / 4000 == pytest.approx(share, abs=0.03)
    assert all(len(set(kinds)) == 1 for kinds in (draw_kinds(PostShares(same_kind=1.0), rng) for _ in range(50)))


def test_words():
    lengths = [len(post.tokens) for post in draw_posts(1000, 5, "train")]
    assert np.mean(lengths) == pytest.approx(PRETRAINING.words, abs=1.5)


def test_visible_entities_follow_their_probabilities():
    """With two entities, one is always visible; the other one is as often as its type is."""
    rng = random.Random(0)
    shares = PostShares(visible={"PER": 1.0, "LOC": 0.2, "ORG": 0.0, "MISC": 0.5})
    person, place, logo = FAMOUS["PER"][0], FAMOUS["LOC"][0], FAMOUS["ORG"][0]
    seen = Counter(entity for _ in range(2000) for entity in draw_visible([person, place], shares, rng).entities)
    assert seen[person] == 2000
    assert seen[place] / 2000 == pytest.approx(0.2, abs=0.03)
    assert draw_visible([logo], shares, rng).entities == (logo,)


def test_posts_with_rarely_visible_entities_are_late():
    rng = random.Random(0)
    shares = REALISTIC.posts
    for kind in KINDS:
        hidden = [draw_visible([FAMOUS[kind][0]], shares, rng).latency > 1 for _ in range(3000)]
        assert np.mean(hidden) == pytest.approx(1 - shares.visible[kind], abs=0.03)
