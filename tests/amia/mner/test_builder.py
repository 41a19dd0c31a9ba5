"""A new recognizer has the weights of the encoders' folders, bit for bit, or says why it cannot."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForPreTraining,
    BertModel,
    BertTokenizer,
    ResNetConfig,
    ResNetForImageClassification,
    ResNetModel,
)

from amia import demo
from amia.errors import ModelError, SettingsError
from amia.mner.builder import build_recognizer
from amia.mner.features import Example, encode_example
from amia.mner.predictor import Recognizer
from amia.mner.settings import EncoderSettings, RecognizerSettings

TYPES = ("PER", "LOC")
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh", *(f"##{letter}" for letter in "abcdefgh")]
TEXT = BertConfig(
    vocab_size=len(PIECES), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24
)
VISUAL = ResNetConfig(embedding_size=6, hidden_sizes=[6, 8], depths=[1, 1], layer_type="basic")


def save_text(folder: Path, model: torch.nn.Module) -> None:
    model.save_pretrained(folder)
    tokens = {piece: number for number, piece in enumerate(PIECES)}
    BertTokenizer(vocab=tokens, do_lower_case=False).save_pretrained(folder)


def save_visual(folder: Path, model: torch.nn.Module) -> None:
    for name, statistics in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            statistics.uniform_(0.5, 2.0)
    model.save_pretrained(folder)
    about = {"size": {"shortest_edge": 32}, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2]}
    (folder / "preprocessor_config.json").write_text(json.dumps(about))


def edit(folder: Path, **changed: torch.Tensor | None) -> None:
    """Replace tensors whose names end so, or take them away."""
    tensors = load_file(folder / "model.safetensors")
    for ending, value in changed.items():
        for name in [name for name in tensors if name.endswith(ending)]:
            del tensors[name]
            if value is not None:
                tensors[name] = value
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture
def encoders(tmp_path: Path) -> Path:
    """As most are published: with the heads that they were pretrained with."""
    torch.manual_seed(0)
    save_text(tmp_path / "text", BertForPreTraining(TEXT))
    save_visual(tmp_path / "visual", ResNetForImageClassification(VISUAL))
    return tmp_path


def begin(system: str, encoders: Path, seed: int = 1, **more: Any) -> Recognizer:
    torch.manual_seed(seed)
    text, visual = (EncoderSettings(model=str(encoders / part)) for part in ("text", "visual"))
    return build_recognizer(system, RecognizerSettings(text=text, visual=visual, **more), TYPES)[0]


def assert_taken_over(part: torch.nn.Module, source: torch.nn.Module) -> None:
    mine, theirs = part.state_dict(), source.state_dict()
    assert not mine.keys() - theirs.keys()
    assert all(name.startswith("pooler.") for name in theirs.keys() - mine.keys())
    for name, each in mine.items():
        assert torch.equal(each, theirs[name]), name


@pytest.mark.parametrize("system", ["bert-crf", "bert-resnet-crf", "maf"])
def test_pretrained_weights_bit_for_bit(encoders: Path, system: str) -> None:
    recognizer = begin(system, encoders)
    model = recognizer.model
    source = BertModel.from_pretrained(encoders / "text")
    assert_taken_over(model.text.encoder, source)
    assert ("pooler.dense.weight" in model.text.encoder.state_dict()) == (system == "maf")
    if model.reads_images:
        assert_taken_over(model.visual.backbone, ResNetModel.from_pretrained(encoders / "visual"))
        assert not torch.equal(model.visual.backbone.embedder.embedder.normalization.running_var, torch.ones(6))
        assert model.config.pixels == {"side": 32, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]}
    assert model.config.labels == ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    # And they are what is computed with.
    model.eval()
    batch = recognizer.batches().of(encode_example([Example(id="x", tokens=("abc", "d"))], recognizer.reader))
    states, _ = model.text(batch.pieces, batch.pieces_mask)
    assert torch.equal(states, source.eval()(input_ids=batch.pieces).last_hidden_state)


def test_the_same_new_layers_from_the_same_random_state(encoders: Path) -> None:
    one, again, other = (begin("bert-resnet-crf", encoders, seed).model.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    new = {name for name in one if not torch.equal(one[name], other[name])}
    assert {"project.weight", "classifier.weight", "decoder.transitions"} <= new
    assert not {name for name in new if name.startswith(("text.", "visual."))}


def test_settings_reach_the_model(encoders: Path) -> None:
    model = begin("bert-resnet-crf", encoders, train_visual=True, crf_constraints=False, dropout=0.3).model
    assert (model.config.train_visual, model.config.crf_constraints, model.text.dropout.p) == (True, False, 0.3)
    assert all(weights.requires_grad for weights in model.visual.parameters())
    frozen = begin("bert-resnet-crf", encoders).model
    assert (frozen.config.train_visual, frozen.config.crf_constraints, frozen.text.dropout.p) == (False, True, 0.1)
    assert not any(weights.requires_grad for weights in frozen.train().visual.parameters())


def test_the_beginning_is_told(encoders: Path) -> None:
    text, visual = encoders / "text", encoders / "visual"
    settings = RecognizerSettings(text=EncoderSettings(model=str(text)), visual=EncoderSettings(model=str(visual)))
    assert build_recognizer("umt", settings, TYPES)[1] == f"umt starts from {text} and {visual}"
    assert build_recognizer("bert", settings, TYPES)[1] == f"bert starts from {text}"
    cut = build_recognizer("bert", settings, TYPES, training=[["@", "a"], ["b"]])[0]
    assert cut.model.config.cut_apart
    lstm, notice = build_recognizer("bilstm-crf", settings, TYPES, training=[["a", "b"]], other=[["c"]])
    assert "random vectors of all 2 words" in notice
    assert lstm.model.config.labels[-1] == "I-LOC"
    with pytest.raises(SettingsError, match="no recognizer 'bret'"):
        build_recognizer("bret", settings, TYPES)


def test_saved_in_half_precision_it_learns_in_full(encoders: Path) -> None:
    torch.manual_seed(0)
    save_text(encoders / "text", BertModel(TEXT).to(torch.bfloat16))
    save_visual(encoders / "visual", ResNetModel(VISUAL).to(torch.bfloat16))
    model = begin("bert-resnet-crf", encoders).model
    assert {weights.dtype for weights in model.parameters()} == {torch.float32}
    source = load_file(encoders / "text" / "model.safetensors")["embeddings.word_embeddings.weight"]
    assert source.dtype == torch.bfloat16
    assert torch.equal(model.text.encoder.embeddings.word_embeddings.weight, source.float())


def test_an_encoder_saved_without_a_pooler(encoders: Path) -> None:
    torch.manual_seed(0)
    save_text(encoders / "text", BertModel(TEXT, add_pooling_layer=False))
    recognizer = begin("maf", encoders)
    model = recognizer.model.eval()
    source = BertModel.from_pretrained(encoders / "text", add_pooling_layer=False)
    encoder = model.text.encoder
    assert all(torch.equal(encoder.state_dict()[name], each) for name, each in source.state_dict().items())
    again = begin("maf", encoders).model.text.encoder.pooler.dense.weight
    assert torch.equal(encoder.pooler.dense.weight, again)
    assert encoder.pooler.dense.weight.any()
    posts = [Example(id="x", tokens=("ab", "h"), labels=(1, 0)), Example(id="y", tokens=("c",), labels=(3,))]
    output = model(recognizer.batches().of(encode_example(posts, recognizer.reader)))
    assert torch.isfinite(output.total()).all()


@pytest.mark.parametrize(
    ("part", "ending", "said"),
    [
        ("text", "layer.1.attention.self.query.weight", "text encoder: .* lack 1 parts, encoder.layer.1.attention"),
        ("visual", "shortcut.normalization.running_mean", "visual encoder: .* lack 1 parts, encoder.stages.1"),
    ],
)
def test_missing_weights(encoders: Path, part: str, ending: str, said: str) -> None:
    edit(encoders / part, **{ending: None})
    with pytest.raises(ModelError, match=said):
        begin("bert-resnet-crf", encoders)


def test_weights_of_another_shape(encoders: Path) -> None:
    edit(encoders / "text", **{"layer.1.attention.self.query.weight": torch.zeros(16, 12)})
    with pytest.raises(ModelError, match="cannot be loaded"):
        begin("bert-crf", encoders)


def test_what_nobody_reads_may_be_missing(encoders: Path) -> None:
    edit(encoders / "visual", num_batches_tracked=None)
    model = begin("bert-resnet-crf", encoders).model
    assert_taken_over(model.visual.backbone, ResNetModel.from_pretrained(encoders / "visual"))


def test_no_safetensors_no_weights(encoders: Path) -> None:
    weights = encoders / "text" / "model.safetensors"
    torch.save(load_file(weights), encoders / "text" / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(ModelError):
        begin("bert-crf", encoders)


def test_a_visual_encoder_that_is_no_resnet(encoders: Path) -> None:
    (encoders / "visual").rename(encoders / "resnet")
    save_text(encoders / "visual", BertModel(TEXT))
    with pytest.raises(ModelError, match="visual is no ResNet but bert"):
        begin("umt", encoders)


def test_a_visual_encoder_that_does_not_say_what_it_reads(encoders: Path) -> None:
    (encoders / "visual" / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"preprocessor_config\.json"):
        begin("umt", encoders)


def test_a_folder_that_holds_no_model(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    with pytest.raises(ModelError, match=r"text encoder: folder .* holds no model"):
        begin("bert", tmp_path)


def test_the_shipped_encoders_are_named_and_not_where_they_were_installed() -> None:
    text, visual = EncoderSettings(model=str(demo.BERT_DIR)), EncoderSettings(model=str(demo.RESNET_DIR))
    said = build_recognizer("umt", RecognizerSettings(text=text, visual=visual), TYPES)[1]
    assert said == "umt starts from demo:bert and demo:resnet"
