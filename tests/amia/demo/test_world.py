"""The demo world: looks, held-out templates and pairs, tags, photographs."""

import random
from itertools import combinations

import numpy as np
import pytest

from amia.demo.drawing.appearance import Variation, get_look
from amia.demo.drawing.scene import draw_photograph, draw_scene
from amia.demo.names import AMBIGUOUS_NAMES, ENTITIES, KINDS, readings
from amia.demo.templates import TEMPLATES, select_templates
from amia.demo.world import draw_post, held_out_posts, is_held_out_pair, late_names, pretraining_posts, reword, scramble


def test_looks_are_unique():
    for kind in KINDS:
        looks = [get_look(entity) for entity in ENTITIES[kind]]
        assert len({(look.style, look.main) for look in looks}) == len(looks)


def test_readings_of_ambiguous_names_look_different():
    for surface, kinds in AMBIGUOUS_NAMES.items():
        assert {entity.kind for entity in readings(surface)} == set(kinds)
        first, second = (np.asarray(draw_scene([entity], Variation()), int) for entity in readings(surface))
        assert np.abs(first - second).mean() > 10


@pytest.mark.parametrize("kinds", TEMPLATES, ids="+".join)
def test_templates_of_every_partition(kinds):
    partitions = [
        {template.words for template in select_templates(kinds, partition)}
        for partition in ("pretraining", "held_out", "evaluation")
    ]
    assert all(partitions)
    assert not any(first & second for first, second in combinations(partitions, 2))
    assert len(partitions[0]) >= 9


def test_templates_are_unique():
    words = [template.words for templates in TEMPLATES.values() for template in templates]
    assert len(set(words)) == len(words)


def test_templates_mention_their_types():
    for kinds, templates in TEMPLATES.items():
        assert all(sorted(template.kinds) == sorted(kinds) for template in templates)


def test_held_out_posts_share_nothing_with_pretraining():
    seen = pretraining_posts(4000, seed=0)
    rng = random.Random(0)
    seen += [reword(post, rng) for post in seen]
    held_out = held_out_posts(1000, seed=0)
    assert not {post.template.words for post in seen} & {post.template.words for post in held_out}
    assert all(post.template.partition == "pretraining" for post in seen)
    pairs = {frozenset(pair) for post in seen for pair in combinations(post.entities, 2)}
    assert not pairs & {frozenset(pair) for post in held_out for pair in combinations(post.entities, 2)}
    assert all(is_held_out_pair(*pair) for post in held_out for pair in combinations(post.entities, 2))


def test_pretraining_covers_every_entity():
    entities = {entity for post in pretraining_posts(4000, seed=0) for entity in post.entities}
    assert entities == {entity for of_kind in ENTITIES.values() for entity in of_kind}


def test_late_names_cover_every_type():
    late = late_names()
    assert len(late) == 23
    assert {entity.kind for surface in late for entity in readings(surface)} == set(KINDS)
    assert late & set(AMBIGUOUS_NAMES)


def test_tags_match_entities():
    for post in held_out_posts(300, seed=1):
        spans = []
        for token, tag in zip(post.tokens, post.tags, strict=True):
            if tag.startswith("B-"):
                spans.append([token, tag[2:]])
            elif tag.startswith("I-"):
                assert spans[-1][1] == tag[2:]
                spans[-1][0] += f" {token}"
        assert {(s.lower(), k) for s, k in spans} == {(e.surface.lower(), e.kind) for e in post.entities}


def test_reword_keeps_entities():
    rng = random.Random(3)
    for post in pretraining_posts(200, seed=2):
        other = reword(post, rng)
        assert set(other.entities) == set(post.entities)
        assert other.is_ambiguous == post.is_ambiguous
        assert {tag for tag in other.tags if tag != "O"} == {tag for tag in post.tags if tag != "O"}


def test_draw_post_respects_allowed():
    rng = random.Random(0)
    for _ in range(100):
        post = draw_post(rng, "held_out", held_out_pairs=True, allowed=lambda entity: entity.surface < "P")
        assert all(entity.surface < "P" for entity in post.entities)


def test_photographs_vary_in_size():
    rng = random.Random(0)
    photos = [draw_photograph([ENTITIES["ORG"][0]], rng) for _ in range(20)]
    assert len({photo.size for photo in photos}) > 5
    assert all(min(photo.size) >= 64 and max(photo.size) <= 168 for photo in photos)


def test_scramble_keeps_only_names():
    rng = random.Random(4)
    for post in pretraining_posts(200, seed=3):
        other = scramble(post, rng)
        assert other.entities == post.entities
        assert sorted(tag for tag in other.tags if tag != "O") == sorted(tag for tag in post.tags if tag != "O")
        assert not set(other.tokens) & {*KINDS, "ANY"}
