"""Test `Recognizer`: saving, loading, and prediction of entities with character offsets."""

import io
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import BertTokenizer

import amia.mner
from amia.errors import ImageError, ModelError, SettingsError
from amia.mner.features import Example
from amia.mner.model import RecognizerModel
from amia.mner.predictor import Recognizer, TaggedPost
from amia.mner.spans import lenient_spans
from amia.mner.tokenizers import WordPieceTokenizer
from amia.mner.word_tokenizer import split_words
from tests.helpers.simulated_oom import limit_batch_size

TEXT = "RT @nova_quist: Blue  skies over Kyoto, again & again! http://t.co/x 🙂"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def make_image(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def recognizer(bert_system: Callable[..., RecognizerModel]) -> Recognizer:
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "@", "#", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    tokenizer = BertTokenizer(
        vocab={subword: index for index, subword in enumerate(vocab)},
        model_max_length=64,  # the encoder's positions
    )
    pixels = {"side": 32, "mean": [0.5] * 3, "std": [0.5] * 3}
    return Recognizer(bert_system("bert-resnet-crf", pixels=pixels), WordPieceTokenizer(tokenizer))


@pytest.fixture(scope="module")
def folder(recognizer: Recognizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "tiny"
    recognizer.save(folder)
    return folder


def test_loaded_recognizer_predicts_the_same(recognizer: Recognizer, folder: Path) -> None:
    loaded = amia.mner.load(folder, device="cpu")
    assert not loaded.model.training
    entities = recognizer.predict(TEXT, make_image(0))
    assert entities
    assert loaded.predict(TEXT, make_image(0)) == entities
    assert sorted(path.suffix for path in folder.iterdir() if path.stat().st_size > 50_000) == [".safetensors"]


def test_loads_folders_of_earlier_versions(recognizer: Recognizer, folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "amia-recognizer"
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "amia-recogniser"}))
    assert amia.mner.load(tmp_path, device="cpu").predict(TEXT) == recognizer.predict(TEXT)


def test_offsets_select_the_entity_in_the_text(recognizer: Recognizer) -> None:
    entities = recognizer.predict(TEXT)
    assert entities
    assert [entity.text for entity in entities] == [TEXT[entity.start : entity.end] for entity in entities]
    starts, ends = ({getattr(word, side) for word in split_words(TEXT)} for side in ("start", "end"))
    assert {entity.start for entity in entities} <= starts
    assert {entity.end for entity in entities} <= ends
    assert all(0 <= entity.score <= 1 for entity in entities)
    assert {entity.type for entity in entities} <= {"PER", "LOC", "ORG", "MISC"}
    assert [entity.start for entity in entities] == sorted(entity.start for entity in entities)


def test_config_decides_how_signs_are_split(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(f"#{first}{second}" for first, second in pairwise(LETTERS))

    def first_characters() -> set[str]:
        return {text[entity.start] for seed in range(4) for entity in recognizer.predict(text, make_image(seed))}

    assert first_characters() == {"#"}
    monkeypatch.setattr(recognizer.model.config, "cut_apart", True)
    assert first_characters() & set(LETTERS)


def test_reads_image_from_bytes_or_path(recognizer: Recognizer, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(make_image(0))
    assert (
        recognizer.predict(TEXT, path) == recognizer.predict(TEXT, str(path)) == recognizer.predict(TEXT, make_image(0))
    )
    scores = [
        [entity.score for entity in recognizer.predict(TEXT, image)] for image in (None, make_image(0), make_image(1))
    ]
    assert scores[0] != scores[1] != scores[2]


def assert_similar_scores(first: TaggedPost, second: TaggedPost) -> None:
    """Compare as float32: on some CPUs the last bits of a product depend on its row in the batch."""
    first_scores, second_scores = ([score for _, score in tagged.spans] for tagged in (first, second))
    assert first_scores == pytest.approx(second_scores, rel=1e-4, abs=1e-6)


def test_predictions_do_not_depend_on_the_batch(recognizer: Recognizer) -> None:
    texts = ["one two three four five six seven", "one", "two @three #four", "x " * 200]
    examples = [
        Example(id=str(index), tokens=tuple(text.split()), image=make_image(0) if index % 2 else None)
        for index, text in enumerate(texts)
    ]
    batched, single = recognizer.tag(examples), [recognizer.tag([example])[0] for example in examples]
    for example, first, second in zip(examples, batched, single, strict=True):
        assert first.id == example.id
        assert first.tags == second.tags
        assert len(first.tags) == len(example.tokens)
        assert [span for span, _ in first.spans] == lenient_spans(first.tags)
        assert_similar_scores(first, second)
    assert set(batched[3].tags[64:]) == {"O"}  # words beyond the encoder's length


@pytest.mark.simulated("device")
@pytest.mark.promise(12)
def test_out_of_memory_halves_the_micro_batch(folder: Path) -> None:
    texts = ["one two three four five six seven", "one", "two @three #four", "x " * 200, "", "five"]
    examples = [
        Example(id=str(index), tokens=tuple(text.split()) or ("a",), image=make_image(index) if index % 2 else None)
        for index, text in enumerate(texts)
    ]
    reference, limited = Recognizer.load(folder, "cpu"), Recognizer.load(folder, "cpu")
    batch_sizes = limit_batch_size(2, limited.model, lambda batch: len(batch.ids))
    tagged_posts = limited.tag(examples, micro_batch=4)
    for tagged, expected in zip(tagged_posts, reference.tag(examples, micro_batch=4), strict=True):
        assert (tagged.id, tagged.tags) == (expected.id, expected.tags)
        assert_similar_scores(tagged, expected)
    assert batch_sizes == [4, 2, 2, 2]
    assert (limited.num_oom_reduced, reference.num_oom_reduced) == (6, 0)


@pytest.mark.parametrize("text", ["", "  \n\t"])
def test_text_without_words_has_no_entities(recognizer: Recognizer, text: str) -> None:
    assert recognizer.predict(text, make_image(0)) == []


def test_rejects_unreadable_images(recognizer: Recognizer, tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    for image, reason in (
        (tmp_path / "none.jpg", "missing"),
        (tmp_path, "not_a_file"),
        (tmp_path / "empty.jpg", "empty"),
        (b"GIF is what this is not", "not_an_image"),
    ):
        with pytest.raises(ImageError) as raised:
            recognizer.predict(TEXT, image)
        assert raised.value.reason == reason


def test_rejects_folders_without_a_recognizer(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        amia.mner.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match="a model of type bert, not a recognizer"):
        amia.mner.load(tmp_path)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(ModelError, match="cannot be loaded"):
        amia.mner.load(tmp_path)
    with pytest.raises(SettingsError, match="unknown"):
        amia.mner.load(folder, device="gpu")
