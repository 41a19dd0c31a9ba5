"""States of words, against plain loops over one word and one post at a time."""

import pytest
import torch
from torch import nn

from amia.errors import ModelError
from amia.mner.config import LstmConfig
from amia.mner.layers.word_encoder import CharCnn, CharLstm, WordEncoder
from amia.mner.tokenizers import UNKNOWN

SIZES = LstmConfig(
    words=20, rare=10, characters=9, word_width=6, char_width=5, hidden=4, char_filters=3, char_inner=7, char_output=4
)
WORDS = [[2, 3, 4], [5], [8, 7, 6, 5, 4], [3, 3, 3, 3, 3, 3, 3, 3]]
"""Characters of words; the first are shorter and as long as kernels are wide."""


def padded(rows, width):
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])


@pytest.mark.parametrize("width", [8, 11])
def test_characters_by_convolution(width):
    torch.manual_seed(0)
    cnn = CharCnn(SIZES)
    seen = cnn(padded(WORDS, width))
    for row, word in zip(seen, WORDS, strict=True):
        best = []
        for layer, kernel in zip(cnn.filters, SIZES.char_kernels, strict=True):
            around = [0] * (kernel - 1)
            embedded = cnn.embed(torch.tensor([*around, *word, *around]))  # [C, E]
            places = range(len(word) + kernel - 1)
            windows = [
                torch.tanh((layer.weight * embedded[place : place + kernel].T).sum((1, 2)) + layer.bias)
                for place in places
            ]
            best.append(torch.stack(windows).amax(0))
        assert torch.allclose(row, cnn.outer(torch.relu(cnn.inner(torch.cat(best)))), atol=1e-6)


@pytest.mark.parametrize("width", [8, 11])
def test_characters_one_after_another(width):
    torch.manual_seed(0)
    spelling = CharLstm(SIZES)
    seen = spelling(padded(WORDS, width))
    hidden = SIZES.char_hidden
    for row, word in zip(seen, WORDS, strict=True):
        states, _ = spelling.lstm(spelling.embed(torch.tensor([word])))  # [1, C, 2H]
        assert torch.allclose(row, torch.cat([states[0, -1, :hidden], states[0, 0, hidden:]]), atol=1e-6)


@pytest.mark.parametrize("spelling", [None, CharCnn, CharLstm])
def test_a_post_in_company_has_the_states_that_it_has_alone(spelling):
    torch.manual_seed(0)
    encoder = WordEncoder(SIZES, spelling and spelling(SIZES), 0.5).eval()
    posts = [[2, 3, 4, 5], [19], [7, 1]]
    words, mask = padded(posts, 6), torch.zeros(3, 6, dtype=torch.bool)
    chars = torch.zeros(3, 6, 10, dtype=torch.long)
    for row, post in enumerate(posts):
        mask[row, : len(post)] = True
        chars[row, : len(post), :8] = padded(WORDS, 8)[: len(post)]
    together = encoder(words, chars, mask)
    assert together.shape == (3, 6, encoder.width)
    assert not together[~mask].any()
    for row, post in enumerate(posts):
        alone = encoder(torch.tensor([post]), padded(WORDS, 8)[None, : len(post)], mask[row : row + 1, : len(post)])
        assert torch.allclose(together[row, : len(post)], alone[0], atol=1e-6)
        vectors = encoder.embed(torch.tensor(post))
        if spelling:
            vectors = torch.cat([vectors, encoder.spelling(padded(WORDS, 8)[: len(post)])], 1)
        assert torch.allclose(alone, encoder.lstm(vectors[None])[0], atol=1e-6)


@pytest.mark.parametrize("forget", [0.0, 0.5, 1.0])
def test_training_reads_rare_words_as_unknown_ones_as_often_as_asked(forget):
    torch.manual_seed(0)
    sizes = LstmConfig.of({**SIZES.to_json(), "forget": forget})
    encoder = WordEncoder(sizes, None, 0.0)
    mask = torch.ones(2000, 1, dtype=torch.bool)
    nothing = torch.empty(0)

    def share_unknown(word: int) -> float:
        words = torch.full((2000, 1), word)
        unknown = encoder.eval()(torch.tensor([[UNKNOWN]]), nothing, mask[:1])[0]
        return float(torch.isclose(encoder.train()(words, nothing, mask), unknown).all(2).float().mean())

    assert share_unknown(sizes.rare) == pytest.approx(forget, abs=0.05)
    assert share_unknown(sizes.words - 1) == pytest.approx(forget, abs=0.05)
    assert share_unknown(sizes.rare - 1) == 0, "frequent words are always themselves"


def test_padding_is_trained_in_no_way():
    torch.manual_seed(0)
    encoder = WordEncoder(SIZES, CharCnn(SIZES), 0.0)
    mask = torch.tensor([[True, True], [True, False]])
    chars = torch.tensor([[[2, 3], [4, 0]], [[5, 0], [0, 0]]])
    encoder(torch.tensor([[2, 3], [4, 0]]), chars, mask).sum().backward()
    for embed in (encoder.embed, encoder.spelling.embed):
        assert isinstance(embed, nn.Embedding)
        assert not embed.weight.grad[0].any()
        assert embed.weight.grad[2].any()


@pytest.mark.parametrize("given", [None, {}, {"words": 3}, {**SIZES.to_json(), "color": 1}])
def test_sizes_that_are_missing_or_foreign(given):
    assert LstmConfig.of(SIZES.to_json()).to_json() == SIZES.to_json()
    with pytest.raises(ModelError, match="of no LSTM recognizer"):
        LstmConfig.of(given)
