"""The text encoder of the LSTM family: words, perhaps with their characters, to states."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from amia.mner.config import LstmConfig
from amia.mner.tokenizers import UNKNOWN

__all__ = ["CharCnn", "CharLstm", "WordEncoder"]


# MERGED FROM amia.mner.layers.word_encoder: What a word looks like, by a convolution over its characters (Ma and Hovy 2016).
#
# Sizes are those of the public CNN-BiLSTM-CRF for Twitter posts: kernels over 2, 3 and 4 characters instead of 3 alone,
# and two layers behind them. There the window of the maximum depends on the width that words are padded to, so that the
# ends of long words are not seen; here each word is read to its own end, and padding changes nothing.
# MERGED FROM amia.mner.layers.word_encoder: What a word looks like, by an LSTM over its characters in both directions (Lample et al. 2016).
class CharCnn(nn.Module):
    """Characters -> filters -> tanh -> the maximum over all places -> two layers."""

    def __init__(self, sizes: LstmConfig) -> None:
        super().__init__()
        self.embed = nn.Embedding(sizes.characters, sizes.char_width, padding_idx=0)
        # Padding by one less than the kernel: the first and the last character are seen in every place of a filter.
        self.filters = nn.ModuleList(
            nn.Conv1d(sizes.char_width, sizes.char_filters, kernel, padding=kernel - 1) for kernel in sizes.char_kernels
        )
        self.inner = nn.Linear(sizes.char_filters * len(sizes.char_kernels), sizes.char_inner)
        self.outer = nn.Linear(sizes.char_inner, sizes.char_output)
        self.width = sizes.char_output

    def forward(self, chars: Tensor) -> Tensor:
        """Vectors [N, char_output] of N words, long [N, C], 0 beyond a word's end and at least one character each."""
        lengths = (chars != 0).sum(1, keepdim=True)  # [N, 1]
        embedded = self.embed(chars).transpose(1, 2)  # [N, E, C]
        found: list[Tensor] = []
        for layer in self.filters:
            seen = layer(embedded)  # [N, F, C + kernel - 1]
            places = torch.arange(seen.shape[2], device=chars.device)
            beyond = places >= lengths + (seen.shape[2] - chars.shape[1])  # windows of padding alone
            found.append(seen.masked_fill(beyond.unsqueeze(1), -torch.inf).amax(2))
        # tanh rises everywhere, so it may follow the maximum.
        states: Tensor = self.outer(F.relu(self.inner(torch.cat(found, 1).tanh())))
        return states


class CharLstm(nn.Module):
    """Characters -> the last states of both directions."""

    def __init__(self, sizes: LstmConfig) -> None:
        super().__init__()
        self.embed = nn.Embedding(sizes.characters, sizes.char_width, padding_idx=0)
        self.lstm = nn.LSTM(sizes.char_width, sizes.char_hidden, batch_first=True, bidirectional=True)
        self.width = 2 * sizes.char_hidden

    def forward(self, chars: Tensor) -> Tensor:
        """Vectors [N, 2 char_hidden] of N words, long [N, C], 0 beyond a word's end and at least one character each."""
        lengths = (chars != 0).sum(1).cpu()
        packed = pack_padded_sequence(self.embed(chars), lengths, batch_first=True, enforce_sorted=False)
        _, (last, _) = self.lstm(packed)  # [2, N, H]: the forward states at a word's end, the backward at its start
        return torch.cat([last[0], last[1]], 1)


class WordEncoder(nn.Module):
    """Word vectors, beside them what `spelling` says of the characters, then an LSTM in both directions.

    In training, each rare word (one that training posts hold once) is read as the unknown word with probability
    `forget`, as Lample et al. do: the vector that unseen words will get is trained on what is most like them. Its
    characters stay. Dropout stands before and behind the LSTM.
    """

    def __init__(self, sizes: LstmConfig, spelling: CharCnn | CharLstm | None, dropout: float) -> None:
        super().__init__()
        self.embed = nn.Embedding(sizes.words, sizes.word_width, padding_idx=0)
        self.spelling = spelling
        width = sizes.word_width + (spelling.width if spelling else 0)
        self.lstm = nn.LSTM(width, sizes.hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.width = 2 * sizes.hidden
        self._rare, self._forget = sizes.rare, sizes.forget

    def forward(self, words: Tensor, chars: Tensor, mask: Tensor) -> Tensor:
        """States [B, W, 2 hidden] of words long [B, W] with characters long [B, W, C] and mask bool [B, W].

        A post's states do not depend on how far it is padded; beyond its end they are zero before dropout.
        """
        if self.training:
            forgotten = torch.rand(words.shape, device=words.device) < self._forget
            words = words.masked_fill(forgotten & (words >= self._rare), UNKNOWN)
        vectors = self.embed(words)
        if self.spelling is not None:
            spelt = self.spelling(chars[mask])  # [N, S]: words alone, no padding
            beside = spelt.new_zeros(*mask.shape, spelt.shape[1])
            vectors = torch.cat([vectors, beside.masked_scatter(mask.unsqueeze(2), spelt)], 2)
        packed = pack_padded_sequence(self.dropout(vectors), mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=mask.shape[1])
        kept: Tensor = self.dropout(states)
        return kept
