"""New recognizers of words: what their vocabulary covers and where their vectors come from."""

from pathlib import Path

import pytest
import torch

from amia.errors import ModelError, SettingsError
from amia.mner.builder import build_word_recognizer, encoder_identities
from amia.mner.settings import RecognizerSettings

TRAINING = [["Ali", "beats", "the", "champ"], ["the", "champ", "wins"]]
OTHERS = [["Paris", "beats", "Xyzzy"]]


def test_without_vectors_the_words_of_training_start_at_random():
    torch.manual_seed(0)
    model, vocabulary, said = build_word_recognizer("bilstm-crf", ("PER",), TRAINING, OTHERS)
    assert said == "bilstm-crf starts from random vectors of all 5 words: no word vectors were given"
    assert set(vocabulary.words) == {"Ali", "beats", "the", "champ", "wins"}
    assert model.config.words["rare"] == 2 + 2, "the and champ stand in front of what occurs once"
    assert model.config.dropout == 0.5
    assert model.config.labels == ["O", "B-PER", "I-PER"]
    embed = model.words.embed.weight.detach()
    assert embed.shape == (2 + 5, 200)
    assert not embed[0].any()
    bound = (3 / 200) ** 0.5
    assert embed.abs().max() <= bound
    assert embed[1:].std() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_vectors_of_a_file_are_taken_over_and_survive_saving(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "glove.txt"
    path.write_text("the 1 2 3\nali 4 5 6\nparis 7 8 9\nchampion 1 1 1\n")
    model, vocabulary, said = build_word_recognizer(
        "hbilstm-crf", ("PER",), iter(TRAINING), iter(OTHERS), path, sizes={"hidden": 4}, dropout=0.3
    )
    assert said == f"hbilstm-crf starts from {path}: vectors of 3 of 6 words, the others random"
    assert model.config.dropout == 0.3
    for word, expected in {"the": [1, 2, 3], "Ali": [4, 5, 6], "Paris": [7, 8, 9], "PARIS": [7, 8, 9]}.items():
        assert model.words.embed.weight[vocabulary.number(word)].tolist() == expected
    assert model.words.embed.weight[vocabulary.number("champ")].abs().max() <= 1, "random, in the file's width"
    assert model.encoder_parameters() == set(), "word vectors learn as fast as new layers"
    model.save_pretrained(tmp_path / "saved")
    again = type(model).from_pretrained(tmp_path / "saved")
    assert torch.equal(again.words.embed.weight, model.words.embed.weight)


def test_what_contradicts_the_family_or_the_file(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("the 1 2 3\n")
    with pytest.raises(SettingsError, match="width 3, not 200"):
        build_word_recognizer("bilstm-crf", ("PER",), TRAINING, vectors=path, sizes={"word_width": 200})
    with pytest.raises(SettingsError, match="bert-crf reads word pieces"):
        build_word_recognizer("bert-crf", ("PER",), TRAINING)


def test_word_vectors_are_told_apart_by_their_content(tmp_path: Path) -> None:
    told = []
    for name, text in (("one", "sky 1 2\n"), ("other", "sky 2 1\n"), ("copy", "sky 1 2\n")):
        (tmp_path / name).write_text(text)
        told.append(encoder_identities("bilstm-crf", RecognizerSettings(vectors=str(tmp_path / name))))
    assert told[0] == told[2] != told[1]
    assert encoder_identities("bilstm-crf", RecognizerSettings()) == {}
    with pytest.raises(ModelError, match="lacking"):
        encoder_identities("bilstm-crf", RecognizerSettings(vectors=str(tmp_path / "lacking")))
