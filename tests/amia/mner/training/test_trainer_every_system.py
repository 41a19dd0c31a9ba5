"""Every system of the registry goes the whole way: trained, saved, loaded, asked."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import amia.mner
from amia.mner.features import encode_example
from amia.mner.systems import SYSTEMS, system_of
from amia.mner.training.data import InMemoryLoader
from amia.mner.training.distributed import DistContext
from amia.mner.training.settings import TrainingSettings
from amia.mner.training.trainer import fit
from tests.helpers.learnable import MemoryCheckpoints, image_recognizer, labeled_posts, word_recognizer


def picture(shade: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (32, 32), (shade, 99, 255 - shade)).save(data, "PNG")
    return data.getvalue()


@pytest.mark.parametrize("system", SYSTEMS)
def test_trained_saved_loaded_asked(system: str, tmp_path: Path) -> None:
    make = word_recognizer if system_of(system).family == "words" else image_recognizer
    recognizer = make(system=system)
    # Two in three have an image, as in a real corpus.
    posts = [
        replace(post, image=picture(10 * number) if number % 3 else None)
        for number, post in enumerate(labeled_posts(24))
    ]
    feed = InMemoryLoader(encode_example(posts, recognizer.reader), 12, 0, DistContext(torch.device("cpu")))
    settings = TrainingSettings(epochs=3, batch=12, lr_encoder=5e-3, lr_new=5e-3)
    world = DistContext(torch.device("cpu"))
    reports = fit(
        recognizer,
        feed,
        posts[:8],
        recognizer.batches(),
        settings,
        MemoryCheckpoints(),
        world=world,
        report=lambda told: None,
    )
    assert set(reports[0].loss) == set(system_of(system).losses)
    assert sum(reports[-1].loss.values()) < sum(reports[0].loss.values())
    recognizer.save(tmp_path)
    loaded = amia.mner.load(tmp_path)
    assert loaded.tag(posts) == recognizer.tag(posts)
    text = "we see Ali in New York !"
    for image in (None, picture(70)):
        for entity in loaded.predict(text, image):
            assert text[entity.start : entity.end] == entity.text
            assert 0 <= entity.score <= 1
