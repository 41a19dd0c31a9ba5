"""A whole recognizer: saved and loaded, from a text and an image to entities with offsets."""

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
from amia.mner.tokenizers import WordPieces
from amia.mner.word_tokenizer import words
from tests.helpers.shortage import hold_at_most

TEXT = "RT @nova_quist: Blue  skies over Kyoto, again & again! http://t.co/x 🙂"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


@pytest.fixture(scope="module")
def recognizer(bert_system: Callable[..., RecognizerModel]) -> Recognizer:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "@", "#", *LETTERS, *(f"##{each}" for each in LETTERS)]
    vocab = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = BertTokenizer(vocab=vocab, model_max_length=64)  # as many as the encoder has positions
    pixels = {"side": 32, "mean": [0.5] * 3, "std": [0.5] * 3}
    return Recognizer(bert_system("bert-resnet-crf", pixels=pixels), WordPieces(tokenizer))


@pytest.fixture(scope="module")
def folder(recognizer: Recognizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "tiny"
    recognizer.save(folder)
    return folder


def test_a_loaded_recognizer_says_what_the_saved_one_said(recognizer: Recognizer, folder: Path) -> None:
    loaded = amia.mner.load(folder, device="cpu")
    assert not loaded.model.training
    said = recognizer.predict(TEXT, picture(0))
    assert said
    assert loaded.predict(TEXT, picture(0)) == said
    assert sorted(path.suffix for path in folder.iterdir() if path.stat().st_size > 50_000) == [".safetensors"]


def test_offsets_cut_entities_out_of_the_text(recognizer: Recognizer) -> None:
    found = recognizer.predict(TEXT)
    assert found
    assert [entity.text for entity in found] == [TEXT[entity.start : entity.end] for entity in found]
    starts, ends = ({getattr(word, side) for word in words(TEXT)} for side in ("start", "end"))
    assert {entity.start for entity in found} <= starts
    assert {entity.end for entity in found} <= ends
    assert all(0 <= entity.score <= 1 for entity in found)
    assert {entity.type for entity in found} <= {"PER", "LOC", "ORG", "MISC"}
    assert [entity.start for entity in found] == sorted(entity.start for entity in found)


def test_how_texts_are_cut_is_the_recognizer_s_own(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(f"#{first}{second}" for first, second in pairwise(LETTERS))

    def starts() -> set[str]:
        return {text[entity.start] for seed in range(4) for entity in recognizer.predict(text, picture(seed))}

    assert starts() == {"#"}
    monkeypatch.setattr(recognizer.model.config, "cut_apart", True)
    assert starts() & set(LETTERS)


def test_an_image_is_looked_at_and_comes_as_bytes_or_path(recognizer: Recognizer, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(picture(0))
    said = recognizer.predict(TEXT, picture(0))
    assert recognizer.predict(TEXT, tmp_path / "x.png") == recognizer.predict(TEXT, str(tmp_path / "x.png")) == said
    scores = [[each.score for each in recognizer.predict(TEXT, image)] for image in (None, picture(0), picture(1))]
    assert scores[0] != scores[1] != scores[2]


def assert_scores_alike(one: TaggedPost, other: TaggedPost) -> None:
    """As float32: on some processors the last bits of a product depend on its row's place in the batch."""
    scores, others = ([score for _, score in tagged.spans] for tagged in (one, other))
    assert scores == pytest.approx(others, rel=1e-4, abs=1e-6)


def test_tags_and_spans_do_not_depend_on_the_batch(recognizer: Recognizer) -> None:
    texts = ["one two three four five six seven", "one", "two @three #four", "x " * 200]
    examples = [
        Example(id=str(place), tokens=tuple(text.split()), image=picture(0) if place % 2 else None)
        for place, text in enumerate(texts)
    ]
    together, alone = recognizer.tag(examples), [recognizer.tag([each])[0] for each in examples]
    for example, one, other in zip(examples, together, alone, strict=True):
        assert one.id == example.id
        assert one.tags == other.tags
        assert len(one.tags) == len(example.tokens)
        assert [span for span, _ in one.spans] == lenient_spans(one.tags)
        assert_scores_alike(one, other)
    assert set(together[3].tags[64:]) == {"O"}  # beyond what the encoder reads


@pytest.mark.simulated("device")
@pytest.mark.promise(12)
def test_out_of_memory_tags_the_same_in_halves(folder: Path) -> None:
    texts = ["one two three four five six seven", "one", "two @three #four", "x " * 200, "", "five"]
    examples = [
        Example(id=str(place), tokens=tuple(text.split()) or ("a",), image=picture(place) if place % 2 else None)
        for place, text in enumerate(texts)
    ]
    undisturbed, short = Recognizer.load(folder, "cpu"), Recognizer.load(folder, "cpu")
    asked = hold_at_most(2, short.model, lambda batch: len(batch.ids))
    tagged = short.tag(examples, micro_batch=4)
    for one, right in zip(tagged, undisturbed.tag(examples, micro_batch=4), strict=True):
        assert (one.id, one.tags) == (right.id, right.tags)
        assert_scores_alike(one, right)
    assert asked == [4, 2, 2, 2]
    assert (short.halved, undisturbed.halved) == (6, 0)


@pytest.mark.parametrize("text", ["", "  \n\t"])
def test_a_text_without_words_has_no_entities(recognizer: Recognizer, text: str) -> None:
    assert recognizer.predict(text, picture(0)) == []


def test_images_that_cannot_be_read(recognizer: Recognizer, tmp_path: Path) -> None:
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


def test_folders_without_a_recognizer(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        amia.mner.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match="bert model, not a recognizer"):
        amia.mner.load(tmp_path)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(ModelError, match="cannot be loaded"):
        amia.mner.load(tmp_path)
    with pytest.raises(SettingsError, match="unknown"):
        amia.mner.load(folder, device="gpu")
