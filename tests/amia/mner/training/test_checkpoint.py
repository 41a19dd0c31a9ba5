"""Test that checkpoints restore the state of a training, and contain only safetensors and JSON."""

import json
from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.amp import GradScaler

from amia.errors import RunError
from amia.mner.builder import build_word_recognizer
from amia.mner.features import encode_examples
from amia.mner.predictor import Recognizer
from amia.mner.training.checkpoint import CheckpointFiles, load_weights, pack_checkpoint, unpack_checkpoint
from amia.mner.training.distributed import DistContext
from amia.mner.training.optimizer import make_optimizer, make_schedule
from amia.mner.training.settings import TrainingSettings
from amia.mner.training.trainer import TrainStep
from tests.helpers.learnable import SIZES, TYPES, WORDS, image_recognizer, labeled_posts, word_recognizer

DIST_CONTEXT = DistContext(torch.device("cpu"))
POSTS = labeled_posts(24)


@dataclass
class Training:
    """The state of a training."""

    recognizer: Recognizer
    train_step: TrainStep

    def run(self, steps: int, start: int = 0) -> None:
        features = encode_examples(POSTS, self.recognizer.tokenizer)
        collator = self.recognizer.make_collator()
        self.recognizer.model.train()
        for step in range(start, start + steps):
            self.train_step([collator(features[4 * step : 4 * step + 4])])

    def pack(self, **progress: object) -> CheckpointFiles:
        step = self.train_step
        return pack_checkpoint(self.recognizer.model, step.optimizer, step.schedule, DIST_CONTEXT, progress)

    def unpack(self, files: CheckpointFiles, dist_context: DistContext = DIST_CONTEXT) -> dict[str, object]:
        step = self.train_step
        return unpack_checkpoint(files, self.recognizer.model, step.optimizer, step.schedule, dist_context)

    def weights(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.recognizer.model.state_dict().items()}


def make_training(recognizer: Recognizer) -> Training:
    model = recognizer.model
    optimizer = make_optimizer(model, TrainingSettings(lr_encoder=0.02, lr_new=0.05))
    schedule = make_schedule(optimizer, 6, 0.5)
    scaler = GradScaler("cpu", enabled=False)
    return Training(recognizer, TrainStep(model, optimizer, schedule, DIST_CONTEXT, 1.0, torch.float32, scaler))


@pytest.mark.parametrize("make_recognizer", [word_recognizer, image_recognizer])
def test_restored_training_continues_identically(make_recognizer: type[Recognizer]) -> None:
    first = make_training(make_recognizer(seed=0))
    torch.manual_seed(5)
    first.run(3)
    files = first.pack(note=[1, {"a": 0.1}])
    random_state = torch.get_rng_state()
    first.run(3, start=3)

    second = make_training(make_recognizer(seed=1))
    torch.manual_seed(99)
    progress = second.unpack(files)
    assert progress["note"] == [1, {"a": 0.1}]
    assert torch.equal(torch.get_rng_state(), random_state)
    assert second.pack(note=[1, {"a": 0.1}]) == files
    assert [group["lr"] for group in second.train_step.optimizer.param_groups] != [0.0] * 4
    second.run(3, start=3)
    expected, weights = first.weights(), second.weights()
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())
    assert second.pack() == first.pack()


def test_restores_state_before_the_first_step() -> None:
    first, second = make_training(word_recognizer(seed=0)), make_training(word_recognizer(seed=1))
    files = first.pack()
    second.unpack(files)
    assert not second.train_step.optimizer.state
    first.unpack(files)
    first.run(1)
    second.unpack(files)
    second.run(1)
    assert second.pack() == first.pack()


def read_header(data: bytes) -> dict[str, dict[str, list[int]]]:
    length = int.from_bytes(data[:8], "little")
    header: dict[str, dict[str, list[int]]] = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    ends = [end for _, end in sorted(entry["data_offsets"] for entry in header.values())]
    assert 8 + length + max(ends, default=0) == len(data), "nothing besides the tensors"
    return header


def test_files_contain_only_trained_parameters() -> None:
    training = make_training(image_recognizer())
    training.run(2)
    files = training.pack(epoch=2)
    assert sorted(files) == ["model.safetensors", "optimizer.safetensors", "random.safetensors", "state.json"]
    assert json.loads(files["state.json"]) == {"epoch": 2, "schedule": 2}
    model = training.recognizer.model
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert read_header(files["model.safetensors"]).keys() == trained
    assert not any(name.startswith("visual.") for name in trained), "a frozen backbone is not saved"
    moments = {f"{name}:{key}" for name in trained for key in ("step", "exp_avg", "exp_avg_sq")}
    assert read_header(files["optimizer.safetensors"]).keys() == moments
    assert read_header(files["random.safetensors"]).keys() == {"cpu:0"}


def test_load_weights_into_another_recognizer() -> None:
    training, recognizer = make_training(word_recognizer(seed=0)), word_recognizer(seed=1)
    training.run(1)
    load_weights(training.pack(), recognizer.model)
    state = recognizer.model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in training.weights().items())


def make_other_recognizer(kind: str) -> Recognizer:
    if kind == "other family":
        return image_recognizer()
    torch.manual_seed(0)
    system, types, words, sizes = {
        "other system": ("cnn-bilstm-crf", TYPES, [["one", "more"]], {}),
        "other vocabulary": ("bilstm-crf", TYPES, [["one", "more"]], SIZES),
        "fewer labels": ("bilstm-crf", TYPES[:1], [WORDS, WORDS], SIZES),
    }[kind]
    model, vocabulary, _ = build_word_recognizer(system, types, words, sizes=sizes)
    return Recognizer(model, vocabulary)


@pytest.mark.parametrize("kind", ["other system", "other vocabulary", "fewer labels", "other family"])
def test_rejects_checkpoint_of_another_model(kind: str) -> None:
    files = make_training(make_other_recognizer(kind)).pack()
    training = make_training(word_recognizer())
    before = training.weights()
    with pytest.raises(RunError, match=r"the checkpoint is of another model: only one of them has .* of shape"):
        training.unpack(files)
    assert all(torch.equal(tensor, before[name]) for name, tensor in training.weights().items())


def test_additional_worker_keeps_its_random_state() -> None:
    files = make_training(word_recognizer()).pack()
    assert load(files["random.safetensors"]).keys() == {"cpu:0"}
    training = make_training(word_recognizer())
    second_rank = DistContext(torch.device("cpu"))
    second_rank.rank, second_rank.world_size = 1, 2
    torch.manual_seed(31)
    random_state = torch.get_rng_state()
    training.unpack(files, second_rank)
    assert torch.equal(torch.get_rng_state(), random_state)


@pytest.fixture(scope="module")
def packed() -> CheckpointFiles:
    training = make_training(word_recognizer())
    training.run(1)
    return training.pack(epochs=1)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "random.safetensors", "state.json"])
@pytest.mark.parametrize("content", [b"\x80\x04N.", b"", b"[" * 100_000, b"{}", None])
def test_rejects_damaged_files(packed: CheckpointFiles, name: str, content: bytes | None) -> None:
    files = {file: data for file, data in packed.items() if file != name}
    if content is not None:
        files[name] = content
    with pytest.raises(RunError, match="the checkpoint is damaged"):
        make_training(word_recognizer()).unpack(files)


def test_rejects_tensors_of_other_shapes(packed: CheckpointFiles) -> None:
    moments = load(packed["optimizer.safetensors"])
    sliced = {name: tensor if name.endswith(":step") else tensor[:1] for name, tensor in moments.items()}
    with pytest.raises(RunError, match="the checkpoint is damaged"):
        make_training(word_recognizer()).unpack(packed | {"optimizer.safetensors": save(sliced)})
    random_states = {"cpu:0": torch.zeros(3, dtype=torch.uint8)}
    with pytest.raises(RunError, match="the checkpoint is damaged"):
        make_training(word_recognizer()).unpack(packed | {"random.safetensors": save(random_states)})
