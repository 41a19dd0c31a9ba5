"""`amia predict --text`: the entities of one text, on this machine, without a cluster."""

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

__all__ = ["TextPrediction", "predict_text", "settings_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPrediction:
    """What came out for one text."""

    text: str
    model: str
    """Address of the recognizer's folder."""
    entities: list[Entity]
    looked: bool
    """Whether the recognizer was shown an image that it reads."""
    augmented: AugmentedPost | None
    """The post with its augmented image; None where none was asked for."""

    def to_json(self) -> dict[str, Any]:
        """Characters as offsets into `text`; `theta`, `ratio` and both statuses where the post was augmented."""
        keys = ("text", "type", "start", "end", "score")
        told: dict[str, Any] = {
            "text": self.text,
            "model": self.model,
            "looked": self.looked,
            "entities": [{key: getattr(entity, key) for key in keys} for entity in self.entities],
        }
        if self.augmented is not None:
            for name in ("theta", "ratio", "loss", "cosine", "image_status", "synthesis_status"):
                told[name] = getattr(self.augmented, name)
        return told


def predict_text(
    text: str,
    settings: Settings,
    *,
    model: str,
    image: Path | None = None,
    augment: str | None = None,
    arm: str = "adaptive",
) -> TextPrediction:
    """The entities of one text, with an image file beside it or without.

    `augment`: a run; the post is scored against its mixture and bank, and the recognizer is shown the post's image in
    `arm`. `model` as in `ray_jobs.jobs.predict`, where a name is one of that run's. Raises ImageError for a file that cannot
    be read (with `augment` a broken image is what it is in a corpus: theta is 0), CorpusError for a text that is no
    post, MixtureError where the run has no mixture to score an image by.
    """
    store = None if augment is None else Store(augment)
    found = find_model(model, store)
    post = _post(text, image, ImageSettings() if store is None else settings.image)
    augmented = None if store is None else _augmented(post, settings, store, arm)
    picture = post.image if augmented is None else augmented.image
    recognizer = Recognizer.load(found.folder, settings.prediction.device)
    with autocast(recognizer.model.device, settings.prediction.dtype):
        entities = recognizer.predict(text, picture)
    looked = picture is not None and get_system(found.config.system).reads_images
    return TextPrediction(text=text, model=found.address, entities=entities, looked=looked, augmented=augmented)


def settings_of(run: str, arm: str) -> Mapping[str, Any]:
    """The method's settings that an arm was made with, but for the devices: those are this machine's.

    Raises RunError when the arm is not finished.
    """
    recorded = open_arm(Store(run), arm).manifest["settings"]
    tree = {name: recorded[name] for name in MethodSettings.model_fields if name in recorded}
    for name in ("clip", "generator"):
        tree[name] = {**tree.get(name, {}), "device": "auto"}
    return tree


def _post(text: str, image: Path | None, limits: ImageSettings) -> Post:
    data = None if image is None else read_image(image, limits)
    post = validate_post(RawPost(where="--text", text=text, image=data))
    if isinstance(post, Rejected):
        raise CorpusError(f"{post.where}: {post.reason}")
    return post


def _augmented(post: Post, settings: Settings, run: Store, arm: str) -> AugmentedPost:
    frozen = read_matching_model(run)
    if frozen is None and post.image is not None:
        raise MixtureError(
            f"{run.address} has no mixture to score a new image by: `amia augment` fits one on posts with images"
        )
    (augmented,) = augment_posts([post], settings, arm=arm, mixture=frozen)
    return augmented
