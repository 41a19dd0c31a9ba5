"""The drawn world keeps what it promises: stable looks, honest splits, tags that fit."""

import random
from itertools import combinations

import numpy as np
import pytest

from amia.demo.drawing.appearance import Variation, look_of
from amia.demo.drawing.scene import draw_photograph, draw_scene
from amia.demo.names import AMBIGUOUS_NAMES, ENTITIES, KINDS, readings
from amia.demo.templates import TEMPLATES, of_part
from amia.demo.world import draw_post, held_out_posts, late_names, pair_held_out, pretraining_posts, reworded, scrambled


def test_every_entity_has_a_look_of_its_own():
    for kind in KINDS:
        looks = [look_of(entity) for entity in ENTITIES[kind]]
        assert len({(look.style, look.main) for look in looks}) == len(looks)


def test_an_ambiguous_name_has_two_readings_that_look_different():
    for surface, kinds in AMBIGUOUS_NAMES.items():
        assert {entity.kind for entity in readings(surface)} == set(kinds)
        one, other = (np.asarray(draw_scene([entity], Variation()), int) for entity in readings(surface))
        assert np.abs(one - other).mean() > 10


@pytest.mark.parametrize("kinds", TEMPLATES, ids="+".join)
def test_every_combination_of_types_has_templates_of_every_part(kinds):
    parts = [
        {template.words for template in of_part(kinds, part)} for part in ("pretraining", "held_out", "evaluation")
    ]
    assert all(parts)
    assert not any(one & other for one, other in combinations(parts, 2))
    assert len(parts[0]) >= 9


def test_no_two_templates_are_alike():
    words = [template.words for templates in TEMPLATES.values() for template in templates]
    assert len(set(words)) == len(words)


def test_templates_name_the_types_of_their_combination():
    for kinds, templates in TEMPLATES.items():
        assert all(sorted(template.kinds) == sorted(kinds) for template in templates)


def test_held_out_posts_share_no_template_and_no_pair_with_pretraining():
    seen = pretraining_posts(4000, seed=0)
    rng = random.Random(0)
    seen += [reworded(post, rng) for post in seen]
    held_out = held_out_posts(1000, seed=0)
    assert not {post.template.words for post in seen} & {post.template.words for post in held_out}
    assert all(post.template.part == "pretraining" for post in seen)
    pairs = {frozenset(pair) for post in seen for pair in combinations(post.entities, 2)}
    assert not pairs & {frozenset(pair) for post in held_out for pair in combinations(post.entities, 2)}
    assert all(pair_held_out(*pair) for post in held_out for pair in combinations(post.entities, 2))


def test_pretraining_knows_every_entity():
    known = {entity for post in pretraining_posts(4000, seed=0) for entity in post.entities}
    assert known == {entity for entities in ENTITIES.values() for entity in entities}


def test_late_names_are_a_fourth_and_of_every_type():
    late = late_names()
    assert len(late) == 23
    assert {entity.kind for surface in late for entity in readings(surface)} == set(KINDS)
    assert late & set(AMBIGUOUS_NAMES)


def test_tags_spell_the_entities():
    for post in held_out_posts(300, seed=1):
        spans = []
        for token, tag in zip(post.tokens, post.tags, strict=True):
            if tag.startswith("B-"):
                spans.append([token, tag[2:]])
            elif tag.startswith("I-"):
                assert spans[-1][1] == tag[2:]
                spans[-1][0] += f" {token}"
        assert {(s.lower(), k) for s, k in spans} == {(e.surface.lower(), e.kind) for e in post.entities}


def test_rewording_keeps_whom_a_post_is_about():
    rng = random.Random(3)
    for post in pretraining_posts(200, seed=2):
        other = reworded(post, rng)
        assert set(other.entities) == set(post.entities)
        assert other.open_meaning == post.open_meaning
        assert {tag for tag in other.tags if tag != "O"} == {tag for tag in post.tags if tag != "O"}


def test_draw_post_obeys_allowed():
    rng = random.Random(0)
    for _ in range(100):
        post = draw_post(rng, "held_out", held_out_pairs=True, allowed=lambda entity: entity.surface < "P")
        assert all(entity.surface < "P" for entity in post.entities)


def test_photographs_differ_in_size_and_show_the_same_thing():
    rng = random.Random(0)
    photos = [draw_photograph([ENTITIES["ORG"][0]], rng) for _ in range(20)]
    assert len({photo.size for photo in photos}) > 5
    assert all(min(photo.size) >= 64 and max(photo.size) <= 168 for photo in photos)


def test_scrambling_keeps_the_names_and_only_those():
    rng = random.Random(4)
    for post in pretraining_posts(200, seed=3):
        other = scrambled(post, rng)
        assert other.entities == post.entities
        assert sorted(tag for tag in other.tags if tag != "O") == sorted(tag for tag in post.tags if tag != "O")
        assert not set(other.tokens) & {*KINDS, "ANY"}
