"""Classifier that tells which types of entities an image shows, from the features of the demo's ResNet."""

import random

import numpy as np
from PIL import ImageFilter
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from amia.demo.drawing.appearance import random_variation
from amia.demo.drawing.scene import draw_photograph, draw_scene
from amia.demo.names import KINDS
from amia.demo.training.targets import SIDE
from amia.demo.world import draw_posts


class TypeProbe:
    """Trained on drawings and photographs of random posts, sharp and blurred, never on a synthesized image."""

    def __init__(self, resnet, count=1600, seed=0):
        self._resnet = resnet
        images, shown = draw_images(count, seed)
        classifier = OneVsRestClassifier(LogisticRegression(C=0.02, max_iter=500))
        self._probe = make_pipeline(StandardScaler(), classifier).fit(self._features(images), shown)

    def shown(self, images):
        """Return whether each image shows an entity of each type, bool (N, 4) in the order of `KINDS`."""
        return self._probe.predict(self._features(images)).astype(bool)

    def _features(self, images):
        maps = self._resnet.feature_maps(images).flatten(2)
        return np.concatenate([maps.mean(2).numpy(), maps.amax(2).numpy()], axis=1)


def draw_images(count, seed):
    """Return images of random posts and which types they show, bool (N, 4).

    Every second image is a photograph. All are blurred by 0 to 2 pixels: synthesized images are not sharp.
    """
    rng = random.Random(f"type probe {seed}")
    images, shown = [], []
    for index, post in enumerate(draw_posts(count, seed, "pretraining")):
        if index % 2:
            image = draw_photograph(post.entities, rng).image
        else:
            image = draw_scene(post.entities, random_variation(rng)).image
        images.append(image.resize((SIDE, SIDE)).filter(ImageFilter.GaussianBlur(rng.uniform(0.0, 2.0))))
        shown.append([any(entity.kind == kind for entity in post.entities) for kind in KINDS])
    return images, np.array(shown)
