"""The text encoder of the LSTM family: words, perhaps with their characters, to states."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from amia.mner.char_cnn import CharCnn
from amia.mner.char_lstm import CharLstm
from amia.mner.vocabulary import UNKNOWN
from amia.mner.word_sizes import WordSizes

__all__ = ["WordEncoder"]


class WordEncoder(nn.Module):
    """Word vectors, beside them what `spelling` says of the characters, then an LSTM in both directions.

    In training, each rare word (one that training posts hold once) is read as the unknown word with probability
    `forget`, as Lample et al. do: the vector that unseen words will get is trained on what is most like them. Its
    characters stay. Dropout stands before and behind the LSTM.
    """

    def __init__(self, sizes: WordSizes, spelling: CharCnn | CharLstm | None, dropout: float) -> None:
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
