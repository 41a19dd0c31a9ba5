"""Training of the tiny ResNet and BERT: attributes, masking, and the files that are written."""

import random

import pytest
import torch
from transformers import AutoModel

from amia.demo import BERT_DIR, RESNET_DIR
from amia.demo.drawing.appearance import MARKS, STYLES, get_look
from amia.demo.drawing.canvas import BRIGHT
from amia.demo.names import AMBIGUOUS, FAMOUS, KINDS
from amia.demo.training.bert import mask_tokens, train_bert
from amia.demo.training.random_scenes import (
    ATTRIBUTES,
    attribute_targets,
    labeled_images,
    random_look,
    random_scene,
    scene_attributes,
)
from amia.demo.training.resnet import train_resnet
from amia.demo.training.tokenizers import train_bert_tokenizer
from amia.demo.world import draw_posts
from tests.helpers.probing import FIELDS


def test_attributes_contain_no_names():
    all_styles = {style for styles in STYLES.values() for style in styles}
    assert {value for _, value in ATTRIBUTES} == all_styles | set(BRIGHT) | set(range(len(MARKS)))
    words = {part.lower() for attribute in ATTRIBUTES for part in attribute if isinstance(part, str)}
    names = {entity.surface.lower() for kind in KINDS for entity in FAMOUS[kind] + AMBIGUOUS[kind]}
    assert not words & (names | {kind.lower() for kind in KINDS})


def test_attributes_are_shared_by_random_looks():
    rng = random.Random(0)
    num_looks = dict.fromkeys(ATTRIBUTES, 0)
    for kind in KINDS:
        for look in {random_look(kind, rng) for _ in range(1000)}:
            for attribute in scene_attributes(((kind, look),)):
                num_looks[attribute] += 1
    assert min(num_looks.values()) > 10


def test_random_looks_differ_from_entities():
    rng = random.Random(1)
    known = {(kind, get_look(entity)) for kind in KINDS for entity in FAMOUS[kind] + AMBIGUOUS[kind]}
    random_looks = [(kind, random_look(kind, rng)) for kind in KINDS for _ in range(1000)]
    assert sum(look in known for look in random_looks) < 20


@pytest.mark.parametrize("kind", KINDS)
def test_visible_fields_change_attributes(kind):
    rng = random.Random(2)
    look = random_look(kind, rng)._replace(accessory=False, style=STYLES[kind][-1])
    others = [random_look(kind, rng) for _ in range(50)]
    for field in FIELDS[kind]:
        value = next(getattr(other, field) for other in others if getattr(other, field) != getattr(look, field))
        assert scene_attributes(((kind, look._replace(**{field: value})),)) != scene_attributes(((kind, look),)), field


def test_targets_encode_attributes():
    rng = random.Random(3)
    scenes = [random_scene(rng) for _ in range(40)]
    for row, scene in zip(attribute_targets(scenes), scenes, strict=True):
        assert {attribute for attribute, value in zip(ATTRIBUTES, row, strict=True) if value} == scene_attributes(scene)
        assert set(row.tolist()) <= {0.0, 1.0}
    assert {len(scene) for scene in scenes} == {1, 2, 3}


def test_labeled_images_match_their_scenes():
    images, targets = labeled_images(12, random.Random(4))
    images_again, targets_again = labeled_images(12, random.Random(4))
    assert (images.shape, images.dtype) == ((12, 3, 64, 64), torch.uint8)
    assert images.float().flatten(1).std(1).min() > 10
    assert torch.equal(images, images_again)
    rng = random.Random(4)
    torch.testing.assert_close(targets, attribute_targets([random_scene(rng) for _ in range(12)]))
    assert torch.equal(targets, targets_again)


def test_mask_tokens_shares():
    torch.manual_seed(0)
    tokenizer = train_bert_tokenizer(post.text for post in draw_posts(300, 0, "pretraining"))
    ids = torch.randint(5, len(tokenizer), (200, 50))
    ids[:, 0], ids[:, -1] = tokenizer.cls_token_id, tokenizer.sep_token_id
    inputs, selected = mask_tokens(ids, tokenizer)
    assert not selected[:, [0, -1]].any()
    assert torch.equal(inputs[~selected], ids[~selected])
    assert selected[:, 1:-1].float().mean() == pytest.approx(0.15, abs=0.02)
    assert (inputs[selected] == tokenizer.mask_token_id).float().mean() == pytest.approx(0.8, abs=0.04)
    assert (inputs[selected] == ids[selected]).float().mean() == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize(("train", "shipped"), [(train_resnet, RESNET_DIR), (train_bert, BERT_DIR)])
def test_training_writes_shipped_files(tmp_path, capsys, train, shipped):
    train(tmp_path, seed=3, steps=4)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in shipped.iterdir()}
    trained, expected = (AutoModel.from_pretrained(folder, dtype=torch.float32) for folder in (tmp_path, shipped))
    assert [name for name, _ in trained.named_parameters()] == [name for name, _ in expected.named_parameters()]
    assert type(trained) is type(expected)
