"""Test new recognizers of the LSTM family: their vocabulary and the source of their word vectors."""

from pathlib import Path

import pytest
import torch

from amia.errors import ModelError, SettingsError
from amia.mner.builder import build_word_recognizer, encoder_identities
from amia.mner.settings import RecognizerSettings

TRAINING = [["Ali", "beats", "the", "champ"], ["the", "champ", "wins"]]
OTHER = [["Paris", "beats", "Xyzzy"]]


def test_random_vectors_of_training_words():
    torch.manual_seed(0)
    model, vocabulary, notice = build_word_recognizer("bilstm-crf", ("PER",), TRAINING, OTHER)
    assert notice == "bilstm-crf starts from random vectors of all 5 words: no word vectors were given"
    assert set(vocabulary.words) == {"Ali", "beats", "the", "champ", "wins"}
    assert model.config.words["rare"] == 2 + 2, "`the` and `champ` precede the words that occur once"
    assert model.config.dropout == 0.5
    assert model.config.labels == ["O", "B-PER", "I-PER"]
    weight = model.words.embed.weight.detach()
    assert weight.shape == (2 + 5, 200)
    assert not weight[0].any()
    bound = (3 / 200) ** 0.5
    assert weight.abs().max() <= bound
    assert weight[1:].std() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_loads_word_vectors_and_saves_them(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "glove.txt"
    path.write_text("the 1 2 3\nali 4 5 6\nparis 7 8 9\nchampion 1 1 1\n")
    model, vocabulary, notice = build_word_recognizer(
        "hbilstm-crf", ("PER",), iter(TRAINING), iter(OTHER), path, sizes={"hidden": 4}, dropout=0.3
    )
    assert notice == f"hbilstm-crf starts from {path}: vectors of 3 of 6 words, the others random"
    assert model.config.dropout == 0.3
    for word, expected in {"the": [1, 2, 3], "Ali": [4, 5, 6], "Paris": [7, 8, 9], "PARIS": [7, 8, 9]}.items():
        assert model.words.embed.weight[vocabulary.word_id(word)].tolist() == expected
    assert model.words.embed.weight[vocabulary.word_id("champ")].abs().max() <= 1, "random, of the file's width"
    assert model.pretrained_parameter_names() == set(), "word vectors have the learning rate of new layers"
    model.save_pretrained(tmp_path / "saved")
    loaded = type(model).from_pretrained(tmp_path / "saved")
    assert torch.equal(loaded.words.embed.weight, model.words.embed.weight)


def test_rejects_other_widths_and_other_families(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("the 1 2 3\n")
    with pytest.raises(SettingsError, match="width 3, not 200"):
        build_word_recognizer("bilstm-crf", ("PER",), TRAINING, vectors=path, sizes={"word_width": 200})
    with pytest.raises(SettingsError, match="bert-crf reads word pieces"):
        build_word_recognizer("bert-crf", ("PER",), TRAINING)


def test_identity_of_word_vectors_is_their_content(tmp_path: Path) -> None:
    identities = []
    for name, text in (("first", "sky 1 2\n"), ("other", "sky 2 1\n"), ("copy", "sky 1 2\n")):
        (tmp_path / name).write_text(text)
        identities.append(encoder_identities("bilstm-crf", RecognizerSettings(vectors=str(tmp_path / name))))
    assert identities[0] == identities[2] != identities[1]
    assert encoder_identities("bilstm-crf", RecognizerSettings()) == {}
    with pytest.raises(ModelError, match="missing"):
        encoder_identities("bilstm-crf", RecognizerSettings(vectors=str(tmp_path / "missing")))
