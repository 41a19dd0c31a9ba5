"""Text encoder of the LSTM family: words, optionally with their characters, to states."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from amia.mner.config import LstmConfig
from amia.mner.tokenizers import UNKNOWN_ID

__all__ = ["CharCnn", "CharLstm", "WordEncoder"]


class WordEncoder(nn.Module):
    """Word vectors, concatenated with the output of a character encoder, through a bidirectional LSTM.

    In training, each rare word (one that occurs once in the training posts) is replaced by the unknown word with
    probability `forget`, as in Lample et al. (2016), which trains the vector of unseen words on similar words. Its
    characters stay. Dropout is applied before and after the LSTM.
    """

    def __init__(self, sizes: LstmConfig, spelling: "CharCnn | CharLstm | None", dropout: float) -> None:
        """`spelling` encodes the characters of words; None: words only."""
        super().__init__()
        self.embed = nn.Embedding(sizes.words, sizes.word_width, padding_idx=0)
        self.spelling = spelling
        width = sizes.word_width + (spelling.width if spelling else 0)
        self.lstm = nn.LSTM(width, sizes.hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.width = 2 * sizes.hidden
        self._first_rare_id, self._forget = sizes.rare, sizes.forget

    def forward(self, word_ids: Tensor, char_ids: Tensor, mask: Tensor) -> Tensor:
        """Return states [B, W, 2 hidden] of words long [B, W] with characters long [B, W, C] and mask bool [B, W].

        A post's states do not depend on its padding; in the padding they are zero before dropout.
        """
        if self.training:
            forgotten = torch.rand(word_ids.shape, device=word_ids.device) < self._forget
            word_ids = word_ids.masked_fill(forgotten & (word_ids >= self._first_rare_id), UNKNOWN_ID)
        vectors = self.embed(word_ids)
        if self.spelling is not None:
            char_vectors = self.spelling(char_ids[mask])  # [N, S]: only words, no padding
            padded = char_vectors.new_zeros(*mask.shape, char_vectors.shape[1])
            vectors = torch.cat([vectors, padded.masked_scatter(mask.unsqueeze(2), char_vectors)], 2)
        packed = pack_padded_sequence(self.dropout(vectors), mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=mask.shape[1])
        output: Tensor = self.dropout(states)
        return output


class CharCnn(nn.Module):
    """Character CNN (Ma and Hovy 2016): filters, tanh, the maximum over all positions, two linear layers.

    Sizes are those of the public CNN-BiLSTM-CRF for Twitter posts: kernels over 2, 3 and 4 characters instead of 3,
    and two layers after them. In that code, the window of the maximum depends on the width of the padding, so that the
    ends of long words are ignored; here each word is read to its end, and padding changes nothing.
    """

    def __init__(self, sizes: LstmConfig) -> None:
        super().__init__()
        self.embed = nn.Embedding(sizes.characters, sizes.char_width, padding_idx=0)
        # Padding of kernel size - 1: every position of a filter sees the first and the last character.
        self.filters = nn.ModuleList(
            nn.Conv1d(sizes.char_width, sizes.char_filters, kernel, padding=kernel - 1) for kernel in sizes.char_kernels
        )
        self.inner = nn.Linear(sizes.char_filters * len(sizes.char_kernels), sizes.char_inner)
        self.outer = nn.Linear(sizes.char_inner, sizes.char_output)
        self.width = sizes.char_output

    def forward(self, char_ids: Tensor) -> Tensor:
        """Return vectors [N, char_output] of N words, long [N, C], at least one character each, padded with 0."""
        lengths = (char_ids != 0).sum(1, keepdim=True)  # [N, 1]
        embedded = self.embed(char_ids).transpose(1, 2)  # [N, E, C]
        maxima: list[Tensor] = []
        for conv in self.filters:
            activations = conv(embedded)  # [N, F, C + kernel - 1]
            positions = torch.arange(activations.shape[2], device=char_ids.device)
            only_padding = positions >= lengths + (activations.shape[2] - char_ids.shape[1])
            maxima.append(activations.masked_fill(only_padding.unsqueeze(1), -torch.inf).amax(2))
        # tanh is monotone, so it can be applied after the maximum.
        output: Tensor = self.outer(F.relu(self.inner(torch.cat(maxima, 1).tanh())))
        return output


class CharLstm(nn.Module):
    """Character LSTM (Lample et al. 2016): the last states of both directions."""

    def __init__(self, sizes: LstmConfig) -> None:
        super().__init__()
        self.embed = nn.Embedding(sizes.characters, sizes.char_width, padding_idx=0)
        self.lstm = nn.LSTM(sizes.char_width, sizes.char_hidden, batch_first=True, bidirectional=True)
        self.width = 2 * sizes.char_hidden

    def forward(self, char_ids: Tensor) -> Tensor:
        """Return vectors [N, 2 char_hidden] of N words, long [N, C], at least one character each, padded with 0."""
        lengths = (char_ids != 0).sum(1).cpu()
        packed = pack_padded_sequence(self.embed(char_ids), lengths, batch_first=True, enforce_sorted=False)
        _, (last, _) = self.lstm(packed)  # [2, N, H]: forward states at a word's end, backward states at its start
        return torch.cat([last[0], last[1]], 1)
