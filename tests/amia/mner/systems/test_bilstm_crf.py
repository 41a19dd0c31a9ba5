"""Test the three systems of the LSTM family: training, saving, and independence of padding."""

import pytest
import torch

from amia.mner.builder import build_word_recognizer
from amia.mner.data_collator import Batch, collate
from amia.mner.metrics import score
from amia.mner.model import RecognizerModel
from amia.mner.systems import get_system
from amia.mner.tokenizers import Vocabulary

SYSTEMS = ("bilstm-crf", "cnn-bilstm-crf", "hbilstm-crf")
TYPES = ("PER", "LOC")
SMALL_SIZES = {
    "word_width": 16, "char_width": 8, "hidden": 16, "char_filters": 8, "char_inner": 16, "char_output": 8,
    "char_hidden": 8,
}  # fmt: skip
TEMPLATES = (
    "{0} flew to {1}",
    "{1} waits for {0} !",
    "RT @fan : in {1} with {0}",
    "nothing new today http://t.co/{n}",
)
PEOPLE = (["Ali"], ["Ana", "Maria", "Lopez"], ["May"], ["Dr", "Who"])
LOCATIONS = (["Paris"], ["New", "York"], ["Rio", "de", "Janeiro"])


def make_post(number: int) -> tuple[list[str], list[str]]:
    person, location = PEOPLE[number % len(PEOPLE)], LOCATIONS[number // 2 % len(LOCATIONS)]
    tokens, tags = list[str](), list[str]()
    for slot in TEMPLATES[number * 7 // 5 % len(TEMPLATES)].split():
        filler = ([slot.replace("{n}", str(number))], "")
        words, type_ = {"{0}": (person, "PER"), "{1}": (location, "LOC")}.get(slot, filler)
        tokens += words
        tags += [f"B-{type_}", *[f"I-{type_}"] * (len(words) - 1)] if type_ else ["O"]
    return tokens, tags


POSTS = [make_post(number) for number in range(32)]


def build(system: str, **sizes: float) -> tuple[RecognizerModel, Vocabulary]:
    torch.manual_seed(3)
    words = [tokens for tokens, _ in POSTS]
    model, vocabulary, _ = build_word_recognizer(system, TYPES, words, sizes={**SMALL_SIZES, **sizes})
    return model, vocabulary


def make_batch(vocabulary: Vocabulary, model: RecognizerModel, posts=POSTS) -> Batch:
    label_ids = {name: index for index, name in enumerate(model.config.labels)}
    return collate(
        [
            vocabulary.encode(str(row), tokens, [label_ids[tag] for tag in tags])
            for row, (tokens, tags) in enumerate(posts)
        ]
    )


@pytest.mark.parametrize("system", SYSTEMS)
def test_overfits_32_posts(system):
    model, vocabulary = build(system)
    batch = make_batch(vocabulary, model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(40):
        optimizer.zero_grad()
        model(batch).total().mean().backward()
        optimizer.step()
    model.eval()
    paths = model.decoder.decode(model(batch).emissions, batch.word_mask)
    predicted = [[model.config.labels[label] for label in path] for path in paths]
    micro = score([tags for _, tags in POSTS], predicted).micro
    assert micro.gold > 32
    assert micro.f1 == 1.0


@pytest.mark.parametrize("system", SYSTEMS)
def test_loaded_model_equals_saved_model(system, tmp_path):
    model, vocabulary = build(system)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # values that no constructor creates
    model.eval().save_pretrained(tmp_path)
    vocabulary.save(tmp_path)
    loaded = get_system(system).from_pretrained(tmp_path)
    assert loaded.config.words == model.config.words
    before, after = model(make_batch(vocabulary, model)), loaded(make_batch(Vocabulary.load(tmp_path), loaded))
    assert torch.equal(before.emissions, after.emissions)
    assert torch.equal(before.total(), after.total())
    assert {file.name for file in tmp_path.iterdir()} == {"config.json", "model.safetensors", "vocabulary.json"}


@pytest.mark.parametrize("system", SYSTEMS)
def test_single_post_equals_padded_batch(system):
    model, vocabulary = build(system)
    model.eval()
    posts = [*POSTS[:6], (["", "x" * 90, "?"], ["O", "O", "O"])]
    batched = model(make_batch(vocabulary, model, posts))
    for row, post in enumerate(posts):
        single = model(make_batch(vocabulary, model, [post]))
        assert torch.allclose(batched.emissions[row, : len(post[0])], single.emissions[0], atol=1e-6)
        assert torch.allclose(batched.total()[row], single.total()[0], atol=1e-5)


@pytest.mark.parametrize("system", SYSTEMS)
def test_all_weights_except_padding_have_gradients(system):
    model, vocabulary = build(system, forget=1.0)
    model(make_batch(vocabulary, model)).total().sum().backward()
    without = {name for name, weights in model.named_parameters() if weights.grad is None or not weights.grad.any()}
    assert not without
    assert model.words.embed.weight.grad[1].any(), "the unknown word, which replaces the rare ones"
    assert not model.words.embed.weight.grad[0].any()


def test_character_ids_only_affect_systems_that_read_them():
    for system in SYSTEMS:
        model, vocabulary = build(system)
        model.eval()
        batch = make_batch(vocabulary, model)
        before = model(batch).emissions
        batch.char_ids = batch.char_ids.masked_fill(batch.char_ids > 0, 5)
        assert torch.equal(before, model(batch).emissions) == (system == "bilstm-crf")
