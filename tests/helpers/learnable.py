"""Posts that a small recognizer learns in a few epochs, and recognizers that do."""

import random

import torch
from transformers import BertConfig, BertTokenizer, ResNetConfig

from amia.mner.builder import build_word_recognizer
from amia.mner.config import RecognizerConfig
from amia.mner.features import Example
from amia.mner.predictor import Recognizer
from amia.mner.systems import system_of
from amia.mner.tokenizers import WordPieces
from amia.mner.training.checkpoint import Files

TYPES = ("PER", "LOC")
NONE, B_PER, B_LOC, I_LOC = 0, 1, 3, 4
NAMES = {("Ali",): (B_PER,), ("Ana",): (B_PER,), ("Oslo",): (B_LOC,), ("New", "York"): (B_LOC, I_LOC)}
FILLERS = ("in", "we", "see", "go", "!")
WORDS = [*FILLERS, *(word for name in NAMES for word in name)]
SIZES = {"word_width": 12, "hidden": 8}


def labeled_posts(count: int, seed: int = 0) -> list[Example]:
    """Names among words that are none, in posts of two to eight words."""
    draw = random.Random(seed)
    posts = []
    for number in range(count):
        tokens, labels = list[str](), list[int]()
        for _ in range(draw.randint(1, 3)):
            name = draw.choice(list(NAMES))
            tokens += [draw.choice(FILLERS), *name]
            labels += [NONE, *NAMES[name]]
        posts.append(Example(id=f"{seed}-{number}", tokens=tuple(tokens[:8]), labels=tuple(labels[:8])))
    return posts


def word_recognizer(seed: int = 0, system: str = "bilstm-crf", **config: float) -> Recognizer:
    """A system of the LSTM family with the published dropout."""
    torch.manual_seed(seed)
    counted = [WORDS, WORDS]  # every word is frequent, so that none is forgotten at random
    model, vocabulary, _ = build_word_recognizer(system, TYPES, counted, sizes=SIZES, **config)
    return Recognizer(model, vocabulary)


def image_recognizer(seed: int = 0, system: str = "bert-resnet-crf") -> Recognizer:
    """A system of the BERT family with dropout everywhere. Its frozen backbone is the same with every seed."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, do_lower_case=False)
    text = BertConfig(
        vocab_size=len(pieces), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24
    )
    visual = ResNetConfig(embedding_size=6, hidden_sizes=[6, 8], depths=[1, 1], layer_type="basic")
    pixels = {"side": 32, "mean": [0.5] * 3, "std": [0.25] * 3}
    config = RecognizerConfig.of(system, TYPES, text=text, visual=visual, pixels=pixels)
    torch.manual_seed(0)
    backbone = system_of("bert-resnet-crf")(config).visual.state_dict()
    torch.manual_seed(seed)
    model = system_of(system)(config)
    if model.reads_images:
        model.visual.load_state_dict(backbone)
    return Recognizer(model, WordPieces(tokenizer))


class MemoryCheckpoints:
    """Keeps what is needed from now on, and what ever was kept."""

    def __init__(self) -> None:
        self.needed: dict[int, Files] = {}
        self.ever: dict[int, Files] = {}

    def latest(self) -> Files | None:
        return self.needed[max(self.needed)] if self.needed else None

    def of_epoch(self, epoch: int) -> Files:
        return self.needed[epoch]

    def keep(self, epoch: int, files: Files, best: int) -> None:
        self.ever[epoch] = files
        self.needed = {number: self.ever[number] for number in {epoch, best}}
