"""Test that a new recognizer has the pretrained weights bit for bit, and that invalid encoders are rejected."""

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

from amia.errors import ModelError, SettingsError
from amia.mner.builder import build_recognizer
from amia.mner.features import Example, encode_examples
from amia.mner.predictor import Recognizer
from amia.mner.settings import EncoderSettings, RecognizerSettings

TYPES = ("PER", "LOC")
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh", *(f"##{letter}" for letter in "abcdefgh")]
TEXT = BertConfig(
    vocab_size=len(VOCAB), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24
)
VISUAL = ResNetConfig(embedding_size=6, hidden_sizes=[6, 8], depths=[1, 1], layer_type="basic")


def save_text_encoder(folder: Path, model: torch.nn.Module) -> None:
    model.save_pretrained(folder)
    vocab = {subword: index for index, subword in enumerate(VOCAB)}
    BertTokenizer(vocab=vocab, do_lower_case=False).save_pretrained(folder)


def save_visual_encoder(folder: Path, model: torch.nn.Module) -> None:
    for name, statistics in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            statistics.uniform_(0.5, 2.0)
    model.save_pretrained(folder)
    preprocessor = {"size": {"shortest_edge": 32}, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2]}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))


def edit_weights(folder: Path, **changes: torch.Tensor | None) -> None:
    """Replace or remove the tensors whose names have these suffixes."""
    tensors = load_file(folder / "model.safetensors")
    for suffix, value in changes.items():
        for name in [name for name in tensors if name.endswith(suffix)]:
            del tensors[name]
            if value is not None:
                tensors[name] = value
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture
def encoders(tmp_path: Path) -> Path:
    """Save encoders as most are published: with the heads that they were pretrained with."""
    torch.manual_seed(0)
    save_text_encoder(tmp_path / "text", BertForPreTraining(TEXT))
    save_visual_encoder(tmp_path / "visual", ResNetForImageClassification(VISUAL))
    return tmp_path


def build(system: str, encoders: Path, seed: int = 1, **settings: Any) -> Recognizer:
    torch.manual_seed(seed)
    text, visual = (EncoderSettings(model=str(encoders / name)) for name in ("text", "visual"))
    return build_recognizer(system, RecognizerSettings(text=text, visual=visual, **settings), TYPES)[0]


def assert_same_weights(module: torch.nn.Module, source: torch.nn.Module) -> None:
    state, source_state = module.state_dict(), source.state_dict()
    assert not state.keys() - source_state.keys()
    assert all(name.startswith("pooler.") for name in source_state.keys() - state.keys())
    for name, tensor in state.items():
        assert torch.equal(tensor, source_state[name]), name


@pytest.mark.parametrize("system", ["bert-crf", "bert-resnet-crf", "maf"])
def test_loads_pretrained_weights(encoders: Path, system: str) -> None:
    recognizer = build(system, encoders)
    model = recognizer.model
    source = BertModel.from_pretrained(encoders / "text")
    assert_same_weights(model.text.encoder, source)
    assert ("pooler.dense.weight" in model.text.encoder.state_dict()) == (system == "maf")
    if model.reads_images:
        assert_same_weights(model.visual.backbone, ResNetModel.from_pretrained(encoders / "visual"))
        assert not torch.equal(model.visual.backbone.embedder.embedder.normalization.running_var, torch.ones(6))
        assert model.config.pixels == {"side": 32, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]}
    assert model.config.labels == ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    # The forward pass uses them.
    model.eval()
    features = encode_examples([Example(id="x", tokens=("abc", "d"))], recognizer.tokenizer)
    batch = recognizer.make_collator()(features)
    states, _ = model.text(batch.input_ids, batch.attention_mask)
    assert torch.equal(states, source.eval()(input_ids=batch.input_ids).last_hidden_state)


def test_new_layers_depend_on_the_seed(encoders: Path) -> None:
    first, repeated, other = (build("bert-resnet-crf", encoders, seed).model.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], repeated[name]) for name in first)
    new = {name for name in first if not torch.equal(first[name], other[name])}
    assert {"project.weight", "classifier.weight", "decoder.transitions"} <= new
    assert not {name for name in new if name.startswith(("text.", "visual."))}


def test_applies_settings(encoders: Path) -> None:
    model = build("bert-resnet-crf", encoders, train_visual=True, crf_constraints=False, dropout=0.3).model
    assert (model.config.train_visual, model.config.crf_constraints, model.text.dropout.p) == (True, False, 0.3)
    assert all(parameter.requires_grad for parameter in model.visual.parameters())
    frozen = build("bert-resnet-crf", encoders).model
    assert (frozen.config.train_visual, frozen.config.crf_constraints, frozen.text.dropout.p) == (False, True, 0.1)
    assert not any(parameter.requires_grad for parameter in frozen.train().visual.parameters())


def test_log_line_names_the_sources(encoders: Path) -> None:
    text, visual = encoders / "text", encoders / "visual"
    settings = RecognizerSettings(text=EncoderSettings(model=str(text)), visual=EncoderSettings(model=str(visual)))
    assert build_recognizer("umt", settings, TYPES)[1] == f"umt starts from {text} and {visual}"
    assert build_recognizer("bert", settings, TYPES)[1] == f"bert starts from {text}"
    with_split_signs = build_recognizer("bert", settings, TYPES, training=[["@", "a"], ["b"]])[0]
    assert with_split_signs.model.config.cut_apart
    lstm, notice = build_recognizer("bilstm-crf", settings, TYPES, training=[["a", "b"]], other=[["c"]])
    assert "random vectors of all 2 words" in notice
    assert lstm.model.config.labels[-1] == "I-LOC"
    with pytest.raises(SettingsError, match="unknown recognizer 'bret'"):
        build_recognizer("bret", settings, TYPES)


def test_half_precision_weights_become_float32(encoders: Path) -> None:
    torch.manual_seed(0)
    save_text_encoder(encoders / "text", BertModel(TEXT).to(torch.bfloat16))
    save_visual_encoder(encoders / "visual", ResNetModel(VISUAL).to(torch.bfloat16))
    model = build("bert-resnet-crf", encoders).model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    source = load_file(encoders / "text" / "model.safetensors")["embeddings.word_embeddings.weight"]
    assert source.dtype == torch.bfloat16
    assert torch.equal(model.text.encoder.embeddings.word_embeddings.weight, source.float())


def test_initializes_missing_pooler(encoders: Path) -> None:
    torch.manual_seed(0)
    save_text_encoder(encoders / "text", BertModel(TEXT, add_pooling_layer=False))
    recognizer = build("maf", encoders)
    model = recognizer.model.eval()
    source = BertModel.from_pretrained(encoders / "text", add_pooling_layer=False)
    encoder = model.text.encoder
    assert all(torch.equal(encoder.state_dict()[name], tensor) for name, tensor in source.state_dict().items())
    repeated = build("maf", encoders).model.text.encoder.pooler.dense.weight
    assert torch.equal(encoder.pooler.dense.weight, repeated)
    assert encoder.pooler.dense.weight.any()
    posts = [Example(id="x", tokens=("ab", "h"), labels=(1, 0)), Example(id="y", tokens=("c",), labels=(3,))]
    output = model(recognizer.make_collator()(encode_examples(posts, recognizer.tokenizer)))
    assert torch.isfinite(output.total()).all()


@pytest.mark.parametrize(
    ("encoder", "suffix", "message"),
    [
        (
            "text",
            "layer.1.attention.self.query.weight",
            "text encoder: .* lack 1 tensors, the first is encoder.layer.1.attention",
        ),
        (
            "visual",
            "shortcut.normalization.running_mean",
            "visual encoder: .* lack 1 tensors, the first is encoder.stages.1",
        ),
    ],
)
def test_rejects_missing_weights(encoders: Path, encoder: str, suffix: str, message: str) -> None:
    edit_weights(encoders / encoder, **{suffix: None})
    with pytest.raises(ModelError, match=message):
        build("bert-resnet-crf", encoders)


def test_rejects_weights_of_another_shape(encoders: Path) -> None:
    edit_weights(encoders / "text", **{"layer.1.attention.self.query.weight": torch.zeros(16, 12)})
    with pytest.raises(ModelError, match="cannot be loaded"):
        build("bert-crf", encoders)


def test_accepts_missing_batch_counts(encoders: Path) -> None:
    edit_weights(encoders / "visual", num_batches_tracked=None)
    model = build("bert-resnet-crf", encoders).model
    assert_same_weights(model.visual.backbone, ResNetModel.from_pretrained(encoders / "visual"))


def test_rejects_weights_without_safetensors(encoders: Path) -> None:
    weights = encoders / "text" / "model.safetensors"
    torch.save(load_file(weights), encoders / "text" / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(ModelError):
        build("bert-crf", encoders)


def test_rejects_visual_encoder_that_is_not_a_resnet(encoders: Path) -> None:
    (encoders / "visual").rename(encoders / "resnet")
    save_text_encoder(encoders / "visual", BertModel(TEXT))
    with pytest.raises(ModelError, match="visual is not a ResNet but bert"):
        build("umt", encoders)


def test_rejects_visual_encoder_without_preprocessor(encoders: Path) -> None:
    (encoders / "visual" / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"preprocessor_config\.json"):
        build("umt", encoders)


def test_rejects_folder_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    with pytest.raises(ModelError, match=r"text encoder: folder .* holds no model"):
        build("bert", tmp_path)


def test_log_line_names_shipped_encoders_by_name() -> None:
    settings = RecognizerSettings(text=EncoderSettings(model="demo:bert"), visual=EncoderSettings(model="demo:resnet"))
    notice = build_recognizer("umt", settings, TYPES)[1]
    assert notice == "umt starts from demo:bert and demo:resnet"
