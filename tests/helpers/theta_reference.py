"""Plain reference code for theta: triplet losses from unit vectors, a two-Gaussian fit, and how well it ranks.

Vectors are arrays of shape (N, D) with unit rows; row n of texts and images belongs to post n.
"""

from math import comb

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture

MARGIN = 0.1
NEGATIVES = 63


def expected_losses(texts, images, bank_texts, bank_images, own=False):
    """Per post, both ways: the expectation of the hinge over the hardest of 63 negatives drawn from the bank.

    `own` says that the posts are the bank itself, so that each is left out of its own negatives.
    """
    paired = (texts * images).sum(1)
    return _one_way(paired, texts @ bank_images.T, own) + _one_way(paired, images @ bank_texts.T, own)


def _one_way(paired, similarities, own):
    if own:
        np.fill_diagonal(similarities, -np.inf)
    candidates = similarities.shape[1] - own
    drawn = min(NEGATIVES, candidates)
    falling = -np.sort(-similarities, axis=1)[:, :candidates]
    # Weight of the j-th highest: it is drawn, and none of those above it.
    weights = [comb(candidates - j, drawn - 1) / comb(candidates, drawn) for j in range(1, candidates - drawn + 2)]
    hinge = np.maximum(0.0, MARGIN - paired[:, None] + falling[:, : len(weights)])
    return hinge @ np.array(weights)


def batch_losses(texts, images, rng, size=64):
    """Per post, both ways: the hinge with the hardest negative in one random batch of 64."""
    losses = np.zeros(len(texts))
    order = rng.permutation(len(texts))
    for first in range(0, len(texts) - size + 1, size):
        rows = order[first : first + size]
        similarities = texts[rows] @ images[rows].T
        paired = similarities.diagonal().copy()
        np.fill_diagonal(similarities, -np.inf)
        losses[rows] = np.maximum(0, MARGIN - paired + similarities.max(1)) + np.maximum(
            0, MARGIN - paired + similarities.max(0)
        )
    return losses


def fit_theta(fitted, scored):
    """theta of `scored` losses: the posterior of the lower-mean Gaussian, fitted on `fitted` as NCR fits it."""
    low, high = np.percentile(fitted, [0.5, 99.5])

    def scale(losses):
        return np.clip((losses - low) / (high - low), 0, 1)[:, None]

    points = scale(fitted)
    below = _two_means(points[:, 0])
    halves = [points[below], points[~below]]
    mixture = GaussianMixture(
        2,
        tol=1e-2,
        max_iter=10,
        reg_covar=5e-4,
        weights_init=[len(half) / len(points) for half in halves],
        means_init=[half.mean(0) for half in halves],
        precisions_init=[[[1 / (half.var() + 5e-4)]] for half in halves],
    ).fit(points)
    return mixture.predict_proba(scale(scored))[:, int(mixture.means_[:, 0].argmin())]


def _two_means(values):
    """Whether each value lies in the lower of the two clusters with the least squared error."""
    ordered = np.sort(values)
    counts = np.arange(1, len(ordered))
    sums, total = np.cumsum(ordered)[:-1], ordered.sum()
    between = sums**2 / counts + (total - sums) ** 2 / (len(ordered) - counts)
    return values <= ordered[int(between.argmax())]


def auc(matched, score):
    """Area under the ROC curve of telling matched posts by a score."""
    return float(roc_auc_score(matched, score))
