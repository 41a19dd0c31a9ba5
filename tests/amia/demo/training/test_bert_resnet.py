"""What the tiny ResNet and the tiny BERT are taught, and that training them works."""

import random

import pytest
import torch
from transformers import AutoModel

from amia.demo import BERT_DIR, RESNET_DIR
from amia.demo.drawing.appearance import MARKS, STYLES, look_of
from amia.demo.drawing.canvas import BRIGHT
from amia.demo.names import ENTITIES, KINDS
from amia.demo.training.bert import masked, train_bert
from amia.demo.training.random_scenes import (
    ATTRIBUTES,
    attribute_targets,
    attributes_of,
    invented_look,
    invented_scene,
    labeled_pictures,
)
from amia.demo.training.resnet import train_resnet
from amia.demo.training.tokenizers import train_wordpieces
from amia.demo.world import pretraining_posts
from tests.helpers.probing import FIELDS


def test_attributes_are_looks_and_hold_no_names():
    forms = {form for styles in STYLES.values() for form in styles}
    assert {value for _, value in ATTRIBUTES} == forms | set(BRIGHT) | set(range(len(MARKS)))
    words = {part.lower() for attribute in ATTRIBUTES for part in attribute if isinstance(part, str)}
    names = {entity.surface.lower() for entities in ENTITIES.values() for entity in entities}
    assert not words & (names | {kind.lower() for kind in KINDS})


def test_no_attribute_tells_one_invented_look():
    rng = random.Random(0)
    bearers = dict.fromkeys(ATTRIBUTES, 0)
    for kind in KINDS:
        for look in {invented_look(kind, rng) for _ in range(1000)}:
            for attribute in attributes_of({kind: look}):
                bearers[attribute] += 1
    assert min(bearers.values()) > 10


def test_hardly_an_invented_look_is_an_entitys():
    rng = random.Random(1)
    known = {(kind, look_of(entity)) for kind in KINDS for entity in ENTITIES[kind]}
    invented = [(kind, invented_look(kind, rng)) for kind in KINDS for _ in range(1000)]
    assert sum(look in known for look in invented) < 20


@pytest.mark.parametrize("kind", KINDS)
def test_every_drawn_field_of_a_look_is_told_apart(kind):
    rng = random.Random(2)
    look = invented_look(kind, rng)._replace(accessory=False, style=STYLES[kind][-1])
    others = [invented_look(kind, rng) for _ in range(50)]
    for field in FIELDS[kind]:
        value = next(getattr(other, field) for other in others if getattr(other, field) != getattr(look, field))
        assert attributes_of({kind: look._replace(**{field: value})}) != attributes_of({kind: look}), field


def test_targets_are_the_attributes_in_order():
    rng = random.Random(3)
    scenes = [invented_scene(rng) for _ in range(40)]
    for row, scene in zip(attribute_targets(scenes), scenes, strict=True):
        assert {attribute for attribute, value in zip(ATTRIBUTES, row, strict=True) if value} == attributes_of(scene)
        assert set(row.tolist()) <= {0.0, 1.0}
    assert {len(scene) for scene in scenes} == {1, 2, 3}


def test_pictures_come_with_the_attributes_of_their_scenes():
    pictures, targets = labeled_pictures(12, random.Random(4))
    again, same = labeled_pictures(12, random.Random(4))
    assert (pictures.shape, pictures.dtype) == ((12, 3, 64, 64), torch.uint8)
    assert pictures.float().flatten(1).std(1).min() > 10
    assert torch.equal(pictures, again)
    rng = random.Random(4)
    torch.testing.assert_close(targets, attribute_targets([invented_scene(rng) for _ in range(12)]))
    assert torch.equal(targets, same)


def test_a_share_of_the_words_is_masked():
    torch.manual_seed(0)
    tokenizer = train_wordpieces(post.text for post in pretraining_posts(300, seed=0))
    ids = torch.randint(5, len(tokenizer), (200, 50))
    ids[:, 0], ids[:, -1] = tokenizer.cls_token_id, tokenizer.sep_token_id
    read, guessed = masked(ids, tokenizer)
    assert not guessed[:, [0, -1]].any()
    assert torch.equal(read[~guessed], ids[~guessed])
    assert guessed[:, 1:-1].float().mean() == pytest.approx(0.15, abs=0.02)
    assert (read[guessed] == tokenizer.mask_token_id).float().mean() == pytest.approx(0.8, abs=0.04)
    assert (read[guessed] == ids[guessed]).float().mean() == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize(("train", "shipped"), [(train_resnet, RESNET_DIR), (train_bert, BERT_DIR)])
def test_training_writes_what_is_shipped(tmp_path, capsys, train, shipped):
    train(tmp_path, seed=3, steps=4)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in shipped.iterdir()}
    fresh, known = (AutoModel.from_pretrained(folder, dtype=torch.float32) for folder in (tmp_path, shipped))
    assert [name for name, _ in fresh.named_parameters()] == [name for name, _ in known.named_parameters()]
    assert type(fresh) is type(known)
