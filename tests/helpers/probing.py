"""Linear probes on the features of the tiny ResNet and the tiny BERT."""

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import AutoModel, AutoTokenizer, ConvNextImageProcessorPil

from amia.demo.drawing.appearance import get_look
from amia.demo.drawing.scene import draw_photograph
from amia.demo.names import AMBIGUOUS, FAMOUS
from amia.demo.training.random_scenes import random_look, random_photo
from amia.demo.world import draw_posts

FIELDS = {
    "PER": ("style", "main", "extra", "detail", "accessory"),
    "LOC": ("style", "main", "extra", "detail", "accessory"),
    "ORG": ("style", "main", "second", "detail"),
    "MISC": ("style", "main", "second"),
}
"""Fields of a look that are visible in images of each type."""


class ResNetFeatures:
    """Features of the ResNet in `folder`, in float32."""

    def __init__(self, folder):
        self.model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.processor = ConvNextImageProcessorPil.from_pretrained(folder)

    @torch.no_grad()
    def feature_maps(self, images):
        """Return feature maps (N, C, 7, 7)."""
        batches = []
        for first in range(0, len(images), 64):
            pixels = self.processor(images[first : first + 64], return_tensors="pt")
            batches.append(self.model(**pixels).last_hidden_state)
        return torch.cat(batches)

    def pooled(self, images):
        """Return pooled features (N, C)."""
        return self.feature_maps(images).mean((2, 3)).numpy()


class BertFeatures:
    """Features of the BERT in `folder`, in float32."""

    def __init__(self, folder):
        self.model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    @torch.no_grad()
    def word_features(self, posts):
        """Return the features of the first subword of every word of every post (M, H), post after post."""
        texts = [list(post.tokens) for post in posts]
        tokens = self.tokenizer(texts, is_split_into_words=True, padding=True, truncation=True, return_tensors="pt")
        states = self.model(**tokens).last_hidden_state
        vectors = []
        for row, post in enumerate(posts):
            word_ids = tokens.word_ids(row)
            vectors += [states[row, word_ids.index(word)] for word in range(len(post.tokens))]
        return torch.stack(vectors).numpy()


def probe_attributes(resnet, kind, fields, rng, train_size=600, test_size=200):
    """Return for each of `fields` of a look the accuracy on photographs of entities of type `kind`, and the majority's.

    The probe is trained on images of random looks. The second value is the accuracy of the best constant prediction.
    """
    looks = [random_look(kind, rng) for _ in range(train_size)]
    entities = rng.choices(FAMOUS[kind] + AMBIGUOUS[kind], k=test_size)
    train_features = resnet.pooled([random_photo(((kind, look),), rng) for look in looks])
    test_features = resnet.pooled([draw_photograph([entity], rng).image for entity in entities])
    accuracies = {}
    for field in fields:
        labels = [getattr(get_look(entity), field) for entity in entities]
        probe = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        predictions = probe.fit(train_features, [getattr(look, field) for look in looks]).predict(test_features)
        majority = max(map(labels.count, set(labels))) / test_size
        accuracies[field] = np.mean(predictions == np.array(labels)), majority
    return accuracies


def probe_names(bert, train_size=300, test_size=150):
    """Return how many words of unseen rare names in unseen sentences are found, and how many found words are right.

    The probe is trained like a recognizer, on posts with known names, and tested on posts with their unknown twins.
    """
    posts, unseen = draw_posts(train_size, 0, "train", "known"), draw_posts(test_size, 0, "test", "unknown")
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    is_name, is_unseen_name = _tags(posts) != "O", _tags(unseen) != "O"
    found = probe.fit(bert.word_features(posts), is_name).predict(bert.word_features(unseen))
    return found[is_unseen_name].mean(), is_unseen_name[found].mean()


def _tags(posts):
    """Return the type of every word, without BIO prefix."""
    return np.array([tag.removeprefix("B-").removeprefix("I-") for post in posts for tag in post.tags])
