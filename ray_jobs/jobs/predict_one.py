"""`amia predict --text`: find the entities of one text on this machine, without Ray."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amia.accelerator import autocast
from amia.augment import AugmentedPost, augment_posts
from amia.errors import CorpusError, MixtureError
from amia.images import ImageSettings, read_image
from amia.mner.predictor import Entity, Recognizer
from amia.mner.systems import get_system
from amia.posts import Post, RawPost, Rejected, validate_post
from amia.settings import MethodSettings
from ray_jobs.jobs.mixture import read_matching_model
from ray_jobs.settings.job import Settings
from ray_jobs.storage.arm import open_arm
from ray_jobs.storage.model_store import find_model
from ray_jobs.storage.store import Store

__all__ = ["TextPrediction", "predict_text", "read_arm_settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPrediction:
    """Result of `predict_text`."""

    text: str
    model: str
    """Address of the recognizer's folder."""
    entities: list[Entity]
    looked: bool
    """Whether the recognizer used an image."""
    augmented: AugmentedPost | None
    """The augmented post; None if the post was not augmented."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON types. Entities have character offsets into `text`.

        An augmented post adds `theta`, `theta_synthesized`, `ratio`, `loss`, `cosine` and both statuses.
        """
        entity_fields = ("text", "type", "start", "end", "score")
        tree: dict[str, Any] = {
            "text": self.text,
            "model": self.model,
            "looked": self.looked,
            "entities": [{name: getattr(entity, name) for name in entity_fields} for entity in self.entities],
        }
        if self.augmented is not None:
            scores = ("theta", "theta_synthesized", "ratio", "loss", "cosine")
            for name in (*scores, "image_status", "synthesis_status"):
                tree[name] = getattr(self.augmented, name)
        return tree


def predict_text(
    text: str,
    settings: Settings,
    *,
    model: str,
    image: Path | None = None,
    augment: str | None = None,
    arm: str = "adaptive",
) -> TextPrediction:
    """Find the entities of one text, optionally with an image file.

    `augment`: a run. The post is scored against the run's mixture and bank, and the recognizer gets the image of the
    post in `arm`. `model`: as in `ray_jobs.jobs.predict`; a name refers to a model of that run.

    Raises ImageError if the image cannot be read (with `augment`, a broken image is treated as in a corpus: theta is
    0), CorpusError if the text is not a valid post, and MixtureError if there is an image but the run has no mixture.
    """
    store = None if augment is None else Store(augment)
    recognizer_files = find_model(model, store)
    post = _read_post(text, image, ImageSettings() if store is None else settings.image)
    augmented = None if store is None else _augment_post(post, settings, store, arm)
    image_bytes = post.image if augmented is None else augmented.image
    recognizer = Recognizer.load(recognizer_files.folder, settings.prediction.device)
    with autocast(recognizer.model.device, settings.prediction.dtype):
        entities = recognizer.predict(text, image_bytes)
    looked = image_bytes is not None and get_system(recognizer_files.config.system).reads_images
    return TextPrediction(
        text=text, model=recognizer_files.address, entities=entities, looked=looked, augmented=augmented
    )


def read_arm_settings(run: str, arm: str) -> Mapping[str, Any]:
    """Return the settings of the method that an arm was made with, with devices chosen on this machine.

    Raises RunError if the arm is not finished.
    """
    recorded = open_arm(Store(run), arm).manifest["settings"]
    tree = {name: recorded[name] for name in MethodSettings.model_fields if name in recorded}
    for name in ("clip", "generator"):
        tree[name] = {**tree.get(name, {}), "device": "auto"}
    return tree


def _read_post(text: str, image: Path | None, limits: ImageSettings) -> Post:
    data = None if image is None else read_image(image, limits)
    post = validate_post(RawPost(location="--text", text=text, image=data))
    if isinstance(post, Rejected):
        raise CorpusError(f"{post.location}: {post.reason}")
    return post


def _augment_post(post: Post, settings: Settings, run: Store, arm: str) -> AugmentedPost:
    matching_model = read_matching_model(run)
    if matching_model is None and post.image is not None:
        raise MixtureError(
            f"{run.address} has no mixture to score a new image with: `amia augment` fits one on posts with images"
        )
    (augmented,) = augment_posts([post], settings, arm=arm, mixture=matching_model)
    return augmented
