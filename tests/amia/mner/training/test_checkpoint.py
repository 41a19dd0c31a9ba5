"""A state packed and put back is the state; its files are safetensors and JSON to the last byte."""

import json
from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.amp import GradScaler

from amia.errors import RunError
from amia.mner.builder import build_word_recognizer
from amia.mner.features import encode_example
from amia.mner.predictor import Recognizer
from amia.mner.training.checkpoint import Files, load_weights, pack, unpack
from amia.mner.training.distributed import DistContext
from amia.mner.training.optimizer import make_optimizer, make_schedule
from amia.mner.training.settings import TrainingSettings
from amia.mner.training.trainer import TrainStep
from tests.helpers.learnable import SIZES, TYPES, WORDS, image_recognizer, labeled_posts, word_recognizer

WORLD = DistContext(torch.device("cpu"))
POSTS = labeled_posts(24)


@dataclass
class Trained:
    """A training that stands somewhere."""

    recognizer: Recognizer
    step: TrainStep

    def go_on(self, steps: int, start: int = 0) -> None:
        items = encode_example(POSTS, self.recognizer.reader)
        batches = self.recognizer.batches()
        self.recognizer.model.train()
        for number in range(start, start + steps):
            self.step.step([batches.of(items[4 * number : 4 * number + 4])])

    def packed(self, **progress: object) -> Files:
        return pack(self.recognizer.model, self.step.optimizer, self.step.schedule, WORLD, progress)

    def put_back(self, files: Files) -> dict[str, object]:
        return unpack(files, self.recognizer.model, self.step.optimizer, self.step.schedule, WORLD)


def training(recognizer: Recognizer) -> Trained:
    optimizer = make_optimizer(recognizer.model, TrainingSettings(lr_encoder=0.02, lr_new=0.05))
    schedule = make_schedule(optimizer, 6, 0.5)
    scaler = GradScaler("cpu", enabled=False)
    return Trained(recognizer, TrainStep(recognizer.model, optimizer, schedule, WORLD, 1.0, torch.float32, scaler))


def weights(trained: Trained) -> dict[str, Tensor]:
    return {name: each.detach().clone() for name, each in trained.recognizer.model.state_dict().items()}


@pytest.mark.parametrize("make", [word_recognizer, image_recognizer])
def test_whoever_takes_over_goes_on_as_if_nothing_had_happened(make: type[Recognizer]) -> None:
    one = training(make(seed=0))
    torch.manual_seed(5)
    one.go_on(3)
    files = one.packed(note=[1, {"a": 0.1}])
    state = torch.get_rng_state()
    one.go_on(3, start=3)

    other = training(make(seed=1))
    torch.manual_seed(99)
    progress = other.put_back(files)
    assert progress["note"] == [1, {"a": 0.1}]
    assert torch.equal(torch.get_rng_state(), state)
    assert other.packed(note=[1, {"a": 0.1}]) == files
    assert [group["lr"] for group in other.step.optimizer.param_groups] != [0.0] * 4
    other.go_on(3, start=3)
    expected, found = weights(one), weights(other)
    assert all(torch.equal(found[name], each) for name, each in expected.items())
    assert other.packed() == one.packed()


def test_before_the_first_step_too() -> None:
    one, other = training(word_recognizer(seed=0)), training(word_recognizer(seed=1))
    files = one.packed()
    other.put_back(files)
    assert not other.step.optimizer.state
    one.put_back(files)
    one.go_on(1)
    other.put_back(files)
    other.go_on(1)
    assert other.packed() == one.packed()


def header(data: bytes) -> dict[str, dict[str, list[int]]]:
    length = int.from_bytes(data[:8], "little")
    listed: dict[str, dict[str, list[int]]] = json.loads(data[8 : 8 + length])
    listed.pop("__metadata__", None)
    ends = [end for _, end in sorted(each["data_offsets"] for each in listed.values())]
    assert 8 + length + max(ends, default=0) == len(data), "nothing stands beside the tensors"
    return listed


def test_the_files_are_safetensors_and_json_of_what_learns() -> None:
    trained = training(image_recognizer())
    trained.go_on(2)
    files = trained.packed(epoch=2)
    assert sorted(files) == ["model.safetensors", "optimizer.safetensors", "random.safetensors", "state.json"]
    assert json.loads(files["state.json"]) == {"epoch": 2, "schedule": 2}
    model = trained.recognizer.model
    learn = {name for name, each in model.named_parameters() if each.requires_grad}
    assert header(files["model.safetensors"]).keys() == learn
    assert not any(name.startswith("visual.") for name in learn), "a frozen backbone is not kept"
    moments = {f"{name}:{kind}" for name in learn for kind in ("step", "exp_avg", "exp_avg_sq")}
    assert header(files["optimizer.safetensors"]).keys() == moments
    assert header(files["random.safetensors"]).keys() == {"cpu:0"}


def test_the_weights_alone_go_into_any_recognizer_of_the_kind() -> None:
    trained, fresh = training(word_recognizer(seed=0)), word_recognizer(seed=1)
    trained.go_on(1)
    load_weights(trained.packed(), fresh.model)
    assert all(torch.equal(fresh.model.state_dict()[name], each) for name, each in weights(trained).items())


def foreign() -> dict[str, Recognizer]:
    torch.manual_seed(0)
    words = [["one", "more"]]
    spelling, vocabulary, _ = build_word_recognizer("cnn-bilstm-crf", TYPES, words)
    fewer_words, _, _ = build_word_recognizer("bilstm-crf", TYPES, words, sizes=SIZES)
    fewer, _, _ = build_word_recognizer("bilstm-crf", TYPES[:1], [WORDS, WORDS], sizes=SIZES)
    made = {"spelling": spelling, "other vocabulary": fewer_words, "fewer labels": fewer}
    return {name: Recognizer(model, vocabulary) for name, model in made.items()} | {"another": image_recognizer()}


@pytest.mark.parametrize("kind", ["spelling", "other vocabulary", "fewer labels", "another"])
def test_of_another_model_it_is_refused_before_anything_changes(kind: str) -> None:
    files = training(foreign()[kind]).packed()
    mine = training(word_recognizer())
    before = weights(mine)
    with pytest.raises(RunError, match=r"the checkpoint is of another model: .* stands in one of them only"):
        mine.put_back(files)
    assert all(torch.equal(each, before[name]) for name, each in weights(mine).items())


def test_a_worker_that_is_new_keeps_its_own_random_state() -> None:
    files = training(word_recognizer()).packed()
    assert load(files["random.safetensors"]).keys() == {"cpu:0"}
    mine = training(word_recognizer())
    second = DistContext(torch.device("cpu"))
    second.rank, second.size = 1, 2
    torch.manual_seed(31)
    state = torch.get_rng_state()
    unpack(files, mine.recognizer.model, mine.step.optimizer, mine.step.schedule, second)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "random.safetensors", "state.json"])
@pytest.mark.parametrize("content", [b"\x80\x04N.", b"", b"[" * 100_000, b"{}", None])
def test_a_state_that_is_damaged_is_named(name: str, content: bytes | None) -> None:
    trained = training(word_recognizer())
    trained.go_on(1)
    files = trained.packed(epochs=1)
    files = {each: data for each, data in files.items() if each != name} | ({} if content is None else {name: content})
    with pytest.raises(RunError, match="the checkpoint is damaged"):
        training(word_recognizer()).put_back(files)


def test_a_state_whose_tensors_have_other_shapes_is_damaged() -> None:
    trained = training(word_recognizer())
    trained.go_on(1)
    files = trained.packed(epochs=1)
    moments = load(files["optimizer.safetensors"])
    cut = {name: each if name.endswith(":step") else each[:1] for name, each in moments.items()}
    wrong = files | {"optimizer.safetensors": save(cut)}
    with pytest.raises(RunError, match="the checkpoint is damaged"):
        training(word_recognizer()).put_back(wrong)
    short = files | {"random.safetensors": save({"cpu:0": torch.zeros(3, dtype=torch.uint8)})}
    with pytest.raises(RunError, match="the checkpoint is damaged"):
        training(word_recognizer()).put_back(short)
