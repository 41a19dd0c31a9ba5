"""Decoders: a linear-chain conditional random field (Lafferty et al. 2001), and independent labels.

Both map emissions [B, W, L] of a post's words to labels, with masks bool [B, W] that are True up to the post's last
word. They raise ValueError for a mask of another shape, or with a gap.

Public systems give the CRF extra states for continuation subwords, [CLS] and [SEP], and train it on them; here it runs
over words only, so that a label sequence is exactly a tagging of the post.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amia.mner.spans import LabeledSpan

__all__ = ["CRF", "SoftmaxDecoder", "check_mask"]

FORBIDDEN = -1e4
"""Added to transitions that BIO2 does not allow: far below any score, and finite, so that no gradient becomes NaN."""


class CRF(nn.Module):
    """Linear-chain CRF. With `constrained`, sequences that violate BIO2 have probability zero."""

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
                    for from_, previous_name in enumerate(labels):
                        barred[from_, to] = 0.0 if previous_name[2:] == name[2:] else FORBIDDEN
        # Saved with the weights: a non-persistent buffer is lost if a model is first built on the meta device.
        self.register_buffer("barred_start", barred_start)
        self.register_buffer("barred", barred)
        self.barred_start: Tensor
        self.barred: Tensor

    def loss(self, emissions: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute the negative log-likelihood of each post's labels (long [B, W]), float32 [B]."""
        check_mask(emissions, mask)
        emissions = emissions.float()
        return self._log_partition(emissions, mask) - self._sequence_score(emissions, labels, mask)

    @torch.no_grad()
    def decode(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        """Find the best label sequence of each post by Viterbi, as long as the post."""
        check_mask(emissions, mask)
        emissions, transitions = emissions.float(), self.transitions + self.barred
        best = self.start + self.barred_start + emissions[:, 0]  # [B, L]
        backpointers: list[Tensor] = []
        for word in range(1, emissions.shape[1]):
            scores, previous = (best.unsqueeze(2) + transitions).max(1)  # [B, from, to] -> [B, to]
            in_post = mask[:, word].unsqueeze(1)
            best = torch.where(in_post, scores + emissions[:, word], best)
            # Behind the end of a post the label stays the same.
            identity = torch.arange(previous.shape[1], device=previous.device)
            backpointers.append(torch.where(in_post, previous, identity))
        last = (best + self.end).argmax(1)  # [B]
        path = [last]
        for previous in reversed(backpointers):
            last = previous.gather(1, last.unsqueeze(1)).squeeze(1)
            path.append(last)
        paths = torch.stack(path[::-1], 1).tolist()
        return [row[:length] for row, length in zip(paths, mask.sum(1).tolist(), strict=True)]

    @torch.no_grad()
    def span_scores(self, emissions: Tensor, mask: Tensor, spans: Sequence[Sequence[LabeledSpan]]) -> list[list[float]]:
        """Compute the marginal probability, in [0, 1], of the labels of each span, over all labels of other words."""
        check_mask(emissions, mask)
        emissions, transitions = emissions.float(), self.transitions + self.barred
        forward, backward = self._forward_scores(emissions, mask), self._backward_scores(emissions, mask)
        log_partition = self._log_partition(emissions, mask)
        scores: list[list[float]] = []
        for row, post_spans in enumerate(spans):
            scores.append([])
            for start, labels in post_spans:
                score = forward[row, start, labels[0]]
                for word, (previous, label) in enumerate(pairwise(labels), start + 1):
                    score = score + transitions[previous, label] + emissions[row, word, label]
                score = score + backward[row, start + len(labels) - 1, labels[-1]] - log_partition[row]
                scores[-1].append(min(1.0, float(score.exp())))
        return scores

    def _sequence_score(self, emissions: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Return the unnormalized log score of each post's labels, [B]."""
        labels = labels.masked_fill(~mask, 0)
        transitions = self.transitions + self.barred
        emission_score = (emissions.gather(2, labels.unsqueeze(2)).squeeze(2) * mask).sum(1)
        transition_score = (transitions[labels[:, :-1], labels[:, 1:]] * mask[:, 1:]).sum(1)
        last = labels.gather(1, mask.sum(1, keepdim=True) - 1).squeeze(1)
        start_score = (self.start + self.barred_start)[labels[:, 0]]
        return start_score + emission_score + transition_score + self.end[last]

    def _log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return log Z of each post, [B]."""
        return (self._forward_scores(emissions, mask)[:, -1] + self.end).logsumexp(1)

    def _forward_scores(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return the log of the summed scores of all prefixes that end in each label at each word, [B, W, L].

        Behind the end of a post the last scores are repeated.
        """
        transitions = self.transitions + self.barred
        alpha = self.start + self.barred_start + emissions[:, 0]
        alphas = [alpha]
        for word in range(1, emissions.shape[1]):
            next_alpha = (alpha.unsqueeze(2) + transitions).logsumexp(1) + emissions[:, word]
            alpha = torch.where(mask[:, word].unsqueeze(1), next_alpha, alpha)
            alphas.append(alpha)
        return torch.stack(alphas, 1)

    def _backward_scores(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return the log of the summed scores of all suffixes that follow each label at each word, [B, W, L]."""
        transitions = self.transitions + self.barred
        beta = self.end.expand(emissions.shape[0], -1)
        betas = [beta]
        for word in range(emissions.shape[1] - 1, 0, -1):
            next_beta = (transitions + (emissions[:, word] + beta).unsqueeze(1)).logsumexp(2)
            beta = torch.where(mask[:, word].unsqueeze(1), next_beta, beta)
            betas.append(beta)
        return torch.stack(betas[::-1], 1)


class SoftmaxDecoder(nn.Module):
    """Labels each word independently; the same interface as `CRF`."""

    def loss(self, emissions: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute the mean cross-entropy over each post's words, float32 [B]."""
        check_mask(emissions, mask)
        word_losses = F.cross_entropy(emissions.float().transpose(1, 2), labels.masked_fill(~mask, 0), reduction="none")
        return (word_losses * mask).sum(1) / mask.sum(1)

    @torch.no_grad()
    def decode(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        """Find the most probable label of each word."""
        check_mask(emissions, mask)
        best = emissions.argmax(2).tolist()
        return [row[:length] for row, length in zip(best, mask.sum(1).tolist(), strict=True)]

    @torch.no_grad()
    def span_scores(self, emissions: Tensor, mask: Tensor, spans: Sequence[Sequence[LabeledSpan]]) -> list[list[float]]:
        """Compute the probability, in [0, 1], of the labels of each span."""
        check_mask(emissions, mask)
        log_probabilities = emissions.float().log_softmax(2)
        return [
            [
                math.exp(sum(float(log_probabilities[row, start + i, label]) for i, label in enumerate(labels)))
                for start, labels in post_spans
            ]
            for row, post_spans in enumerate(spans)
        ]


def check_mask(emissions: Tensor, mask: Tensor) -> None:
    """Raise ValueError unless each row of the mask is True at least once, and never after its first False."""
    if mask.shape != emissions.shape[:2]:
        raise ValueError(f"mask of shape {list(mask.shape)} does not fit emissions of shape {list(emissions.shape)}")
    if not mask[:, 0].all() or (mask[:, 1:] & ~mask[:, :-1]).any():
        raise ValueError("each row of the mask must be True from its first word to its last, and False after it")
