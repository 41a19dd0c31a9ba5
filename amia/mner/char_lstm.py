"""What a word looks like, by an LSTM over its characters in both directions (Lample et al. 2016)."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from amia.mner.word_sizes import WordSizes

__all__ = ["CharLstm"]


class CharLstm(nn.Module):
    """Characters -> the last states of both directions."""

    def __init__(self, sizes: WordSizes) -> None:
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
