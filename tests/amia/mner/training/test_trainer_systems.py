"""Test training, saving, loading and prediction of every system."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import amia.mner
from amia.mner.features import encode_examples
from amia.mner.systems import SYSTEMS, get_system
from amia.mner.training.data import InMemoryLoader
from amia.mner.training.distributed import DistContext
from amia.mner.training.settings import TrainingSettings
from amia.mner.training.trainer import fit
from tests.helpers.learnable import MemoryCheckpoints, image_recognizer, labeled_posts, word_recognizer


def make_image(red: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (red, 99, 255 - red)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("system", SYSTEMS)
def test_train_save_load_predict(system: str, tmp_path: Path) -> None:
    make_recognizer = word_recognizer if get_system(system).input_unit == "words" else image_recognizer
    recognizer = make_recognizer(system=system)
    # Two of three posts have an image, as in real corpora.
    posts = [
        replace(post, image=make_image(10 * number) if number % 3 else None)
        for number, post in enumerate(labeled_posts(24))
    ]
    dist_context = DistContext(torch.device("cpu"))
    reports = fit(
        recognizer,
        InMemoryLoader(encode_examples(posts, recognizer.tokenizer), 12, 0, dist_context),
        posts[:8],
        recognizer.make_collator(),
        TrainingSettings(epochs=3, batch=12, lr_encoder=5e-3, lr_new=5e-3),
        MemoryCheckpoints(),
        dist_context=dist_context,
        on_epoch_end=lambda _: None,
    )
    assert set(reports[0].loss) == set(get_system(system).loss_names)
    assert sum(reports[-1].loss.values()) < sum(reports[0].loss.values())
    recognizer.save(tmp_path)
    loaded = amia.mner.load(tmp_path)
    assert loaded.tag(posts) == recognizer.tag(posts)
    text = "we see Ali in New York !"
    for image in (None, make_image(70)):
        for entity in loaded.predict(text, image):
            assert text[entity.start : entity.end] == entity.text
            assert 0 <= entity.score <= 1
