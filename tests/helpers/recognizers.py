"""Small recognizers on disk, for jobs that only use one."""

from collections.abc import Sequence
from pathlib import Path

import torch

from amia.mner.builder import build_recognizer, build_word_recognizer
from amia.mner.features import Example, encode_examples
from amia.mner.predictor import Recognizer
from amia.mner.settings import EncoderSettings, RecognizerSettings
from amia.mner.spans import TYPES
from tests.helpers.encoders import save_tiny_encoders


def save_random(folder: Path, encoders: Path) -> None:
    """Save a `bert-resnet-crf` with random weights so large that it finds entities everywhere and images matter."""
    save_tiny_encoders(encoders)
    text, visual = (EncoderSettings(model=str(encoders / name)) for name in ("text", "visual"))
    torch.manual_seed(0)
    recognizer, _ = build_recognizer(
        "bert-resnet-crf", RecognizerSettings(text=text, visual=visual), TYPES, training=[], other=[]
    )
    with torch.no_grad():
        for parameter in recognizer.model.parameters():
            parameter.mul_(3.0)
    recognizer.save(folder)


def save_trained(folder: Path, examples: Sequence[Example]) -> None:
    """Save a `bilstm-crf` after a few steps on these posts, which finds some of their entities."""
    torch.manual_seed(0)
    words = [example.tokens for example in examples]
    model, vocabulary, _ = build_word_recognizer("bilstm-crf", TYPES, words, sizes={"word_width": 24, "hidden": 24})
    recognizer = Recognizer(model, vocabulary)
    batch = recognizer.make_collator()(encode_examples(examples, vocabulary))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    model.train()
    for _ in range(40):
        optimizer.zero_grad()
        model(batch).total().mean().backward()
        optimizer.step()
    recognizer.save(folder)
