"""The tiny ResNet and the tiny BERT: quiet to load, small, and good at seeing and reading what they never met."""

import random
import stat

import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer, BertModel, BertTokenizer, ResNetModel

from amia.demo import BERT_DIR, RESNET_DIR
from amia.demo.drawing.scene import draw_photograph
from amia.demo.names import ENTITIES
from amia.demo.world import held_out_posts
from tests.helpers.probing import Reader, Seer, attributes_read, types_read


@pytest.fixture(scope="module")
def seer():
    return Seer(RESNET_DIR)


@pytest.fixture(scope="module")
def reader():
    return Reader(BERT_DIR)


def test_encoders_load_without_a_word(said):
    assert isinstance(AutoModel.from_pretrained(RESNET_DIR, dtype=torch.float32), ResNetModel)
    assert isinstance(AutoModel.from_pretrained(BERT_DIR, dtype=torch.float32), BertModel)
    assert isinstance(AutoTokenizer.from_pretrained(BERT_DIR), BertTokenizer)
    AutoImageProcessor.from_pretrained(RESNET_DIR)
    assert [record.getMessage() for record in said] == []


def test_encoders_are_small_and_readable():
    files = [path for folder in (RESNET_DIR, BERT_DIR) for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 5e6
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444 for path in files)


@pytest.mark.parametrize("folder", [RESNET_DIR, BERT_DIR], ids=["resnet", "bert"])
def test_what_named_and_guessed_in_training_is_not_shipped(folder):
    with safe_open(folder / "model.safetensors", "pt") as file:
        parts = {name.split(".")[0] for name in file.keys()}  # noqa: SIM118 - no dictionary
    assert parts in ({"embedder", "encoder"}, {"embeddings", "encoder", "pooler"})


def test_a_picture_has_49_regions(seer):
    rng = random.Random(0)
    maps = seer.maps([draw_photograph([ENTITIES["LOC"][0]], rng), draw_photograph([ENTITIES["PER"][0]], rng)])
    assert maps.shape == (2, seer.model.config.hidden_sizes[-1], 7, 7)
    assert maps.isfinite().all()


@pytest.mark.parametrize("kind", ENTITIES)
def test_forms_and_colors_of_the_world_are_read_from_photographs(seer, kind):
    read = attributes_read(seer, kind, ("style", "main"), random.Random(kind), known=200, tested=80)
    for field, (right, guessed) in read.items():
        assert right > guessed + 0.2, field


def test_types_of_names_that_the_probe_never_saw_are_read(reader):
    right, guessed = types_read(reader, random.Random(0), known=200, tested=100)
    assert right > guessed + 0.3


def test_words_do_not_depend_on_padding(reader):
    one, other = sorted(held_out_posts(30, seed=5), key=lambda post: len(post.tokens))[::29]
    alone, padded = reader.words([one]), reader.words([one, other])
    assert len(other.tokens) > len(one.tokens)
    np.testing.assert_allclose(alone, padded[: len(alone)], atol=1e-5)


def test_the_tokenizer_is_a_cased_berts(reader):
    tokenizer = reader.tokenizer
    assert tokenizer.convert_ids_to_tokens([0, 1, 2, 3, 4]) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert tokenizer.tokenize("Mira Okafor") == ["Mira", "Okafor"]
    assert tokenizer.tokenize("xyzzy")[0] == "x"
    assert all(piece.startswith("##") for piece in tokenizer.tokenize("xyzzy")[1:])
    assert tokenizer.tokenize("日") == ["[UNK]"]
    assert len(tokenizer("lost " * 100, truncation=True).input_ids) == 64
