"""A linear-chain conditional random field over a post's words (Lafferty et al. 2001), as the published systems end in.

Public systems give the chain three more states, for continuation pieces, [CLS] and [SEP], and train it to walk through
them; here it stands on words alone, so that a label sequence is exactly a tagging of the post.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amia.mner.spans import LabeledSpan

__all__ = ["CRF", "Softmax", "check_mask"]

# MERGED FROM amia.mner.layers.decoders: Each word's label by itself: what the plain BERT tagger ends in. The same interface as `CRF`.
FORBIDDEN = -1e4
"""Added to what BIO2 does not allow: far below any score, and finite, so that no gradient becomes NaN."""


class CRF(nn.Module):
    """Scores of label sequences: emissions [B, W, L], masks bool [B, W] that are True up to each post's last word.

    Raises ValueError for a mask of another shape or kind.
    """

    def __init__(self, labels: Sequence[str], *, constrained: bool) -> None:
        super().__init__()
        count = len(labels)
        self.start, self.end = nn.Parameter(torch.zeros(count)), nn.Parameter(torch.zeros(count))
        self.transitions = nn.Parameter(torch.zeros(count, count))
        """[L, L]: from row, to column."""
        barred_start, barred = torch.zeros(count), torch.zeros(count, count)
        if constrained:
            for to, name in enumerate(labels):
                if name.startswith("I-"):
                    barred_start[to] = FORBIDDEN
                    for before, other in enumerate(labels):
                        barred[before, to] = 0.0 if other[2:] == name[2:] else FORBIDDEN
        # Saved with the weights: a buffer that is not would be lost where a model is built without memory first.
        self.register_buffer("barred_start", barred_start)
        self.register_buffer("barred", barred)
        self.barred_start: Tensor
        self.barred: Tensor

    def loss(self, emissions: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Negative log-likelihood of each post's labels (long [B, W]), float32 [B]."""
        check_mask(emissions, mask)
        emissions = emissions.float()
        return self._total(emissions, mask) - self._score(emissions, labels, mask)

    @torch.no_grad()
    def decode(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        """The best label sequence of each post, by Viterbi; as long as its mask is True."""
        check_mask(emissions, mask)
        emissions, moves = emissions.float(), self.transitions + self.barred
        best = self.start + self.barred_start + emissions[:, 0]  # [B, L]
        came: list[Tensor] = []
        for word in range(1, emissions.shape[1]):
            scores, before = (best.unsqueeze(2) + moves).max(1)  # [B, from, to] -> [B, to]
            going = mask[:, word].unsqueeze(1)
            best = torch.where(going, scores + emissions[:, word], best)
            # A post that has ended stays where it is.
            came.append(torch.where(going, before, torch.arange(before.shape[1], device=before.device)))
        last = (best + self.end).argmax(1)  # [B]
        path = [last]
        for before in reversed(came):
            last = before.gather(1, last.unsqueeze(1)).squeeze(1)
            path.append(last)
        paths = torch.stack(path[::-1], 1).tolist()
        return [row[:length] for row, length in zip(paths, mask.sum(1).tolist(), strict=True)]

    @torch.no_grad()
    def span_scores(self, emissions: Tensor, mask: Tensor, spans: Sequence[Sequence[LabeledSpan]]) -> list[list[float]]:
        """Probability, in [0, 1], that the chain walks through a span's labels at its words, whatever stands around."""
        check_mask(emissions, mask)
        emissions, moves = emissions.float(), self.transitions + self.barred
        forward, backward = self._forward(emissions, mask), self._backward(emissions, mask)  # [B, W, L] both
        total = self._total(emissions, mask)
        scores: list[list[float]] = []
        for row, found in enumerate(spans):
            scores.append([])
            for start, labels in found:
                score = forward[row, start, labels[0]]
                for place, (before, label) in enumerate(pairwise(labels), start + 1):
                    score = score + moves[before, label] + emissions[row, place, label]
                score = score + backward[row, start + len(labels) - 1, labels[-1]] - total[row]
                scores[-1].append(min(1.0, float(score.exp())))
        return scores

    def _score(self, emissions: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        labels = labels.masked_fill(~mask, 0)
        moves = self.transitions + self.barred
        emitted = (emissions.gather(2, labels.unsqueeze(2)).squeeze(2) * mask).sum(1)
        moved = (moves[labels[:, :-1], labels[:, 1:]] * mask[:, 1:]).sum(1)
        last = labels.gather(1, mask.sum(1, keepdim=True) - 1).squeeze(1)
        return (self.start + self.barred_start)[labels[:, 0]] + emitted + moved + self.end[last]

    def _total(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """log Z of each post."""
        return (self._forward(emissions, mask)[:, -1] + self.end).logsumexp(1)

    def _forward(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """log of the sum over all ways to each label at each word, [B, W, L]; a post that has ended keeps its last."""
        moves = self.transitions + self.barred
        alpha = self.start + self.barred_start + emissions[:, 0]
        every = [alpha]
        for word in range(1, emissions.shape[1]):
            reached = (alpha.unsqueeze(2) + moves).logsumexp(1) + emissions[:, word]
            alpha = torch.where(mask[:, word].unsqueeze(1), reached, alpha)
            every.append(alpha)
        return torch.stack(every, 1)

    def _backward(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """log of the sum over all ways on from each label at each word, [B, W, L]."""
        moves = self.transitions + self.barred
        beta = self.end.expand(emissions.shape[0], -1)
        every = [beta]
        for word in range(emissions.shape[1] - 1, 0, -1):
            following = (moves + (emissions[:, word] + beta).unsqueeze(1)).logsumexp(2)
            beta = torch.where(mask[:, word].unsqueeze(1), following, beta)
            every.append(beta)
        return torch.stack(every[::-1], 1)


def check_mask(emissions: Tensor, mask: Tensor) -> None:
    """Raise ValueError unless each row of the mask is True at least once and nowhere after its first False."""
    if mask.shape != emissions.shape[:2]:
        raise ValueError(f"a mask of {list(mask.shape)} does not fit emissions of {list(emissions.shape)}")
    if not mask[:, 0].all() or (mask[:, 1:] & ~mask[:, :-1]).any():
        raise ValueError("a row of the mask is not True from its first word to its last and False from there")


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
    def span_scores(self, emissions: Tensor, mask: Tensor, spans: Sequence[Sequence[LabeledSpan]]) -> list[list[float]]:
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
