"""Two processes as one: sums, gradients, weights, and a training that both leave with the best weights."""

import json
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from safetensors.torch import load_file, save_file

from amia.mner.features import encode_example
from amia.mner.training.checkpoint import Files
from amia.mner.training.data import InMemoryLoader
from amia.mner.training.distributed import DistContext
from amia.mner.training.settings import TrainingSettings
from amia.mner.training.trainer import fit
from tests.helpers.learnable import MemoryCheckpoints, labeled_posts, word_recognizer

CPU = torch.device("cpu")
TRAIN, VALIDATION = labeled_posts(15), labeled_posts(5, seed=1)


class OwnCheckpoints(MemoryCheckpoints):
    """What one worker kept no other can be sure to find: it may not be written yet, or be removed already."""

    def of_epoch(self, epoch: int) -> Files:
        assert dist.get_rank() == 0
        return super().of_epoch(epoch)


def worker(rank: int, folder: str) -> None:
    meeting, patience = f"file://{folder}/meeting", timedelta(seconds=200)
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2, timeout=patience)
    world = DistContext(CPU)
    told: dict[str, object] = {"rank": world.rank, "size": world.size, "sums": world.sums(rank + 0.5, 2**40 + rank)}
    told["gathered"] = [each.tolist() for each in world.gathered(torch.tensor([rank, 7], dtype=torch.uint8))]
    both, mine, neither = (torch.zeros(2, requires_grad=True) for _ in range(3))
    both.grad = torch.tensor([1.0 + rank, 2.0])
    if rank == 1:
        mine.grad = torch.tensor([4.0, 5.0])
    world.add_up_gradients([both, mine, neither])
    told["gradients"] = [each.grad.tolist() for each in (both, mine, neither) if each.grad is not None]
    recognizer = word_recognizer(seed=rank)
    model = recognizer.model
    model.register_buffer("seen", torch.tensor(rank + 5))
    world.share_weights(model)
    save_file(model.state_dict(), Path(folder) / f"shared-{rank}.safetensors")
    feed = InMemoryLoader(
        encode_example(TRAIN, recognizer.reader), 7, 0, world
    )  # the last step of an epoch is one post's
    settings = TrainingSettings(epochs=2, lr_new=0.02, device="cpu")
    checkpoints = OwnCheckpoints()
    reports = fit(
        recognizer, feed, VALIDATION[rank::2], recognizer.batches(), settings, checkpoints,
        world=world, report=lambda _: None,
    )  # fmt: skip
    told["reports"] = [(each.epoch, each.loss, each.f1, each.best) for each in reports]
    told["kept"] = sorted(checkpoints.ever)
    save_file(model.state_dict(), Path(folder) / f"trained-{rank}.safetensors")
    (Path(folder) / f"{rank}.json").write_text(json.dumps(told))
    dist.destroy_process_group()


def test_two_workers(tmp_path: Path) -> None:
    second = multiprocessing.get_context("spawn").Process(target=worker, args=(1, str(tmp_path)))
    second.start()
    worker(0, str(tmp_path))
    second.join()
    assert second.exitcode == 0
    told = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert [each.pop("rank") for each in told] == [0, 1]
    assert [each.pop("kept") for each in told] == [[1, 2], []]
    assert told[0] == told[1]
    assert told[0]["size"] == 2
    assert told[0]["sums"] == [2.0, 2**41 + 1]
    assert told[0]["gathered"] == [[0, 7], [1, 7]]
    assert told[0]["gradients"] == [[3.0, 4.0], [4.0, 5.0], [0.0, 0.0]]
    assert [each[0] for each in told[0]["reports"]] == [1, 2]

    first = word_recognizer(seed=0).model.state_dict() | {"seen": torch.tensor(5)}
    for rank in (0, 1):
        shared = load_file(tmp_path / f"shared-{rank}.safetensors")
        assert shared.keys() == first.keys()
        assert all(torch.equal(shared[name], each) for name, each in first.items())
    one, other = (load_file(tmp_path / f"trained-{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["classifier.weight"], first["classifier.weight"])


def test_alone_everything_is_as_it_was() -> None:
    world = DistContext(CPU)
    assert (world.rank, world.size) == (0, 1)
    assert world.sums(1, 2.5) == [1, 2.5]
    state = torch.arange(3)
    assert world.gathered(state) == [state]
    some, none = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    some.grad = torch.ones(1)
    world.add_up_gradients([some, none])
    assert some.grad.item() == 1
    assert none.grad is None
    model = torch.nn.Linear(2, 2)
    before = model.weight.detach().clone()
    world.share_weights(model)
    assert torch.equal(model.weight, before)
