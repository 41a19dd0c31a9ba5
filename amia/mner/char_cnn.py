"""What a word looks like, by a convolution over its characters (Ma and Hovy 2016).

Sizes are those of the public CNN-BiLSTM-CRF for Twitter posts: kernels over 2, 3 and 4 characters instead of 3 alone,
and two layers behind them. There the window of the maximum depends on the width that words are padded to, so that the
ends of long words are not seen; here each word is read to its own end, and padding changes nothing.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amia.mner.word_sizes import WordSizes

__all__ = ["CharCnn"]


class CharCnn(nn.Module):
    """Characters -> filters -> tanh -> the maximum over all places -> two layers."""

    def __init__(self, sizes: WordSizes) -> None:
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
