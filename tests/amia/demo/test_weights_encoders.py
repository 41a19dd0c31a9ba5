"""The shipped ResNet and BERT: loading, size, and linear probes on unseen entities and sentences."""

import random
import stat

import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import AutoModel, AutoTokenizer, BertModel, BertTokenizer, ConvNextImageProcessorPil, ResNetModel

from amia.demo import BERT_DIR, RESNET_DIR
from amia.demo.drawing.scene import draw_photograph
from amia.demo.names import FAMOUS, KINDS
from amia.demo.world import draw_posts
from tests.helpers.probing import BertFeatures, ResNetFeatures, probe_attributes, probe_names


@pytest.fixture(scope="module")
def resnet():
    return ResNetFeatures(RESNET_DIR)


@pytest.fixture(scope="module")
def bert():
    return BertFeatures(BERT_DIR)


def test_loads_without_warnings(logged):
    assert isinstance(AutoModel.from_pretrained(RESNET_DIR, dtype=torch.float32), ResNetModel)
    assert isinstance(AutoModel.from_pretrained(BERT_DIR, dtype=torch.float32), BertModel)
    assert isinstance(AutoTokenizer.from_pretrained(BERT_DIR), BertTokenizer)
    ConvNextImageProcessorPil.from_pretrained(RESNET_DIR)
    assert [record.getMessage() for record in logged] == []


def test_files_are_small_and_readable():
    files = [path for folder in (RESNET_DIR, BERT_DIR) for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 5e6
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444 for path in files)


@pytest.mark.parametrize("folder", [RESNET_DIR, BERT_DIR], ids=["resnet", "bert"])
def test_training_heads_are_not_shipped(folder):
    with safe_open(folder / "model.safetensors", "pt") as file:
        parts = {name.split(".")[0] for name in file.keys()}  # noqa: SIM118 - not a dictionary
    assert parts in ({"embedder", "encoder"}, {"embeddings", "encoder", "pooler"})


def test_feature_maps_have_49_regions(resnet):
    rng = random.Random(0)
    maps = resnet.feature_maps([draw_photograph([FAMOUS[kind][0]], rng).image for kind in ("LOC", "PER")])
    assert maps.shape == (2, resnet.model.config.hidden_sizes[-1], 7, 7)
    assert maps.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_probe_recognizes_style_and_color(resnet, kind):
    accuracies = probe_attributes(resnet, kind, ("style", "main"), random.Random(kind), train_size=200, test_size=80)
    for field, (accuracy, majority) in accuracies.items():
        assert accuracy > majority + 0.2, field


def test_probe_finds_unseen_names(bert):
    """BERT knows no rare name, but what a name looks like."""
    recall, precision = probe_names(bert)
    assert recall > 0.8
    assert precision > 0.8


def test_word_features_independent_of_padding(bert):
    short, long = sorted(draw_posts(30, 5, "test"), key=lambda post: len(post.tokens))[::29]
    single, padded = bert.word_features([short]), bert.word_features([short, long])
    assert len(long.tokens) > len(short.tokens)
    np.testing.assert_allclose(single, padded[: len(single)], atol=1e-5)


def test_tokenizer_is_cased(bert):
    tokenizer = bert.tokenizer
    assert tokenizer.convert_ids_to_tokens([0, 1, 2, 3, 4]) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert tokenizer.tokenize("Mira Okafor") == ["Mira", "Okafor"]
    assert tokenizer.tokenize("xyzzy")[0] == "x"
    assert all(piece.startswith("##") for piece in tokenizer.tokenize("xyzzy")[1:])
    assert tokenizer.tokenize("日") == ["[UNK]"]
    assert len(tokenizer("lost " * 100, truncation=True).input_ids) == 64
