"""Posts that a small recognizer learns in a few epochs, and untrained recognizers for them."""

import random

import torch
from transformers import BertConfig, BertTokenizer, ResNetConfig

from amia.mner.builder import build_word_recognizer
from amia.mner.config import RecognizerConfig
from amia.mner.features import Example
from amia.mner.predictor import Recognizer
from amia.mner.systems import get_system
from amia.mner.tokenizers import WordPieceTokenizer
from amia.mner.training.checkpoint import CheckpointFiles

TYPES = ("PER", "LOC")
OUTSIDE, B_PER, B_LOC, I_LOC = 0, 1, 3, 4
NAMES = {("Ali",): (B_PER,), ("Ana",): (B_PER,), ("Oslo",): (B_LOC,), ("New", "York"): (B_LOC, I_LOC)}
FILLERS = ("in", "we", "see", "go", "!")
WORDS = [*FILLERS, *(word for name in NAMES for word in name)]
SIZES = {"word_width": 12, "hidden": 8}


def labeled_posts(count: int, seed: int = 0) -> list[Example]:
    """Generate posts of two to eight words, names among other words."""
    rng = random.Random(seed)
    posts = []
    for number in range(count):
        tokens, labels = list[str](), list[int]()
        for _ in range(rng.randint(1, 3)):
            name = rng.choice(list(NAMES))
            tokens += [rng.choice(FILLERS), *name]
            labels += [OUTSIDE, *NAMES[name]]
        posts.append(Example(id=f"{seed}-{number}", tokens=tuple(tokens[:8]), labels=tuple(labels[:8])))
    return posts


def word_recognizer(seed: int = 0, system: str = "bilstm-crf", **config: float) -> Recognizer:
    """Build a system of the LSTM family with the published dropout."""
    torch.manual_seed(seed)
    training = [WORDS, WORDS]  # every word occurs twice, so that none is replaced by the unknown word
    model, vocabulary, _ = build_word_recognizer(system, TYPES, training, sizes=SIZES, **config)
    return Recognizer(model, vocabulary)


def image_recognizer(seed: int = 0, system: str = "bert-resnet-crf") -> Recognizer:
    """Build a system of the BERT family with dropout everywhere. Its frozen backbone is the same with every seed."""
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = BertTokenizer(vocab={subword: index for index, subword in enumerate(vocab)}, do_lower_case=False)
    text = BertConfig(
        vocab_size=len(vocab), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24
    )
    visual = ResNetConfig(embedding_size=6, hidden_sizes=[6, 8], depths=[1, 1], layer_type="basic")
    pixels = {"side": 32, "mean": [0.5] * 3, "std": [0.25] * 3}
    config = RecognizerConfig.create(system, TYPES, text=text, visual=visual, pixels=pixels)
    torch.manual_seed(0)
    backbone = get_system("bert-resnet-crf")(config).visual.state_dict()
    torch.manual_seed(seed)
    model = get_system(system)(config)
    if model.reads_images:
        model.visual.load_state_dict(backbone)
    return Recognizer(model, WordPieceTokenizer(tokenizer))


class MemoryCheckpoints:
    """Implements `amia.mner.training.trainer.Checkpoints` in memory."""

    def __init__(self) -> None:
        self.kept: dict[int, CheckpointFiles] = {}
        """The last epoch and the best one."""
        self.all: dict[int, CheckpointFiles] = {}

    def load_latest(self) -> CheckpointFiles | None:
        return self.kept[max(self.kept)] if self.kept else None

    def load_epoch(self, epoch: int) -> CheckpointFiles:
        return self.kept[epoch]

    def save(self, epoch: int, files: CheckpointFiles, best_epoch: int) -> None:
        self.all[epoch] = files
        self.kept = {number: self.all[number] for number in {epoch, best_epoch}}
