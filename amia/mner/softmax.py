"""Each word's label by itself: what the plain BERT tagger ends in. The same interface as `CRF`."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amia.mner.crf import check_mask
from amia.mner.spans import LabelledSpan

__all__ = ["Softmax"]


class Softmax(nn.Module):
    """Independent labels: emissions [B, W, L], masks bool [B, W] that are True up to each post's last word.

    Raises ValueError for a mask of another shape or kind.
    """

    def loss(self, emissions: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Mean cross-entropy over each post's words, float32 [B]."""
        check_mask(emissions, mask)
        each = F.cross_entropy(emissions.float().transpose(1, 2), labels.masked_fill(~mask, 0), reduction="none")
        return (each * mask).sum(1) / mask.sum(1)

    @torch.no_grad()
    def decode(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        """The likeliest label of every word; as long as its mask is True."""
        check_mask(emissions, mask)
        best = emissions.argmax(2).tolist()
        return [row[:length] for row, length in zip(best, mask.sum(1).tolist(), strict=True)]

    @torch.no_grad()
    def span_scores(
        self, emissions: Tensor, mask: Tensor, spans: Sequence[Sequence[LabelledSpan]]
    ) -> list[list[float]]:
        """Probability, in [0, 1], of a span's labels at its words."""
        check_mask(emissions, mask)
        logs = emissions.float().log_softmax(2)
        return [
            [
                math.exp(sum(float(logs[row, start + place, label]) for place, label in enumerate(labels)))
                for start, labels in found
            ]
            for row, found in enumerate(spans)
        ]
