"""Reference implementation of theta: triplet losses of unit vectors, a two-Gaussian fit, and its AUC.

Vectors are arrays of shape (N, D) with unit rows; row n of texts and images belongs to post n.
"""

from math import comb

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture

MARGIN = 0.1
NEGATIVES = 63


def expected_losses(texts, images, bank_texts, bank_images, exclude_self=False):
    """Return for each post the expected hinge of the hardest of 63 negatives drawn from the bank, both ways.

    `exclude_self` specifies that the posts are the bank itself, so that each is excluded from its own negatives.
    """
    positive = (texts * images).sum(1)
    return _one_way(positive, texts @ bank_images.T, exclude_self) + _one_way(
        positive, images @ bank_texts.T, exclude_self
    )


def _one_way(positive, similarities, exclude_self):
    if exclude_self:
        np.fill_diagonal(similarities, -np.inf)
    candidates = similarities.shape[1] - exclude_self
    draws = min(NEGATIVES, candidates)
    descending = -np.sort(-similarities, axis=1)[:, :candidates]
    # Weight of the j-th highest: the probability that it is drawn and none of those above it.
    weights = [comb(candidates - j, draws - 1) / comb(candidates, draws) for j in range(1, candidates - draws + 2)]
    hinge = np.maximum(0.0, MARGIN - positive[:, None] + descending[:, : len(weights)])
    return hinge @ np.array(weights)


def batch_losses(texts, images, rng, size=64):
    """Return for each post the hinge of the hardest negative in one random batch of 64, both ways."""
    losses = np.zeros(len(texts))
    order = rng.permutation(len(texts))
    for first in range(0, len(texts) - size + 1, size):
        rows = order[first : first + size]
        similarities = texts[rows] @ images[rows].T
        positive = similarities.diagonal().copy()
        np.fill_diagonal(similarities, -np.inf)
        losses[rows] = np.maximum(0, MARGIN - positive + similarities.max(1)) + np.maximum(
            0, MARGIN - positive + similarities.max(0)
        )
    return losses


def fit_theta(fit_losses, losses):
    """Return theta of `losses`: the posterior of the lower-mean Gaussian, fitted on `fit_losses` as in NCR."""
    low, high = np.percentile(fit_losses, [0.5, 99.5])

    def scale(values):
        return np.clip((values - low) / (high - low), 0, 1)[:, None]

    points = scale(fit_losses)
    is_lower = _two_means(points[:, 0])
    clusters = [points[is_lower], points[~is_lower]]
    mixture = GaussianMixture(
        2,
        tol=1e-2,
        max_iter=10,
        reg_covar=5e-4,
        weights_init=[len(cluster) / len(points) for cluster in clusters],
        means_init=[cluster.mean(0) for cluster in clusters],
        precisions_init=[[[1 / (cluster.var() + 5e-4)]] for cluster in clusters],
    ).fit(points)
    return mixture.predict_proba(scale(losses))[:, int(mixture.means_[:, 0].argmin())]


def _two_means(values):
    """Return for each value whether it is in the lower one of the two clusters with the least squared error."""
    ascending = np.sort(values)
    counts = np.arange(1, len(ascending))
    sums, total = np.cumsum(ascending)[:-1], ascending.sum()
    between = sums**2 / counts + (total - sums) ** 2 / (len(ascending) - counts)
    return values <= ascending[int(between.argmax())]


def auc(matched, score):
    """Return the area under the ROC curve of `score` as a classifier of matched posts."""
    return float(roc_auc_score(matched, score))
