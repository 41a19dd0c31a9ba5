"""Test collective operations, and training with two processes."""

import json
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from safetensors.torch import load_file, save_file

from amia.mner.features import encode_examples
from amia.mner.training.checkpoint import CheckpointFiles
from amia.mner.training.data import InMemoryLoader
from amia.mner.training.distributed import DistContext
from amia.mner.training.settings import TrainingSettings
from amia.mner.training.trainer import fit
from tests.helpers.learnable import MemoryCheckpoints, labeled_posts, word_recognizer

CPU = torch.device("cpu")
TRAIN, VALIDATION = labeled_posts(15), labeled_posts(5, seed=1)


class RankZeroCheckpoints(MemoryCheckpoints):
    """Fail if another rank than 0 loads an epoch: it may not be written yet, or already be removed."""

    def load_epoch(self, epoch: int) -> CheckpointFiles:
        assert dist.get_rank() == 0
        return super().load_epoch(epoch)


def worker(rank: int, folder: str) -> None:
    init_method, timeout = f"file://{folder}/init", timedelta(seconds=200)
    dist.init_process_group("gloo", init_method=init_method, rank=rank, world_size=2, timeout=timeout)
    dist_context = DistContext(CPU)
    results: dict[str, object] = {
        "rank": dist_context.rank,
        "world_size": dist_context.world_size,
        "sums": dist_context.all_reduce(rank + 0.5, 2**40 + rank),
    }
    gathered = dist_context.all_gather(torch.tensor([rank, 7], dtype=torch.uint8))
    results["gathered"] = [tensor.tolist() for tensor in gathered]
    on_both, on_rank_1, on_none = (torch.zeros(2, requires_grad=True) for _ in range(3))
    on_both.grad = torch.tensor([1.0 + rank, 2.0])
    if rank == 1:
        on_rank_1.grad = torch.tensor([4.0, 5.0])
    dist_context.all_reduce_gradients([on_both, on_rank_1, on_none])
    results["gradients"] = [
        parameter.grad.tolist() for parameter in (on_both, on_rank_1, on_none) if parameter.grad is not None
    ]
    recognizer = word_recognizer(seed=rank)
    model = recognizer.model
    model.register_buffer("seen", torch.tensor(rank + 5))
    dist_context.broadcast(model)
    save_file(model.state_dict(), Path(folder) / f"broadcast-{rank}.safetensors")
    # 15 posts in batches of 7: the last step of an epoch has one post, so one worker has none.
    loader = InMemoryLoader(encode_examples(TRAIN, recognizer.tokenizer), 7, 0, dist_context)
    settings = TrainingSettings(epochs=2, lr_new=0.02, device="cpu")
    checkpoints = RankZeroCheckpoints()
    reports = fit(
        recognizer, loader, VALIDATION[rank::2], recognizer.make_collator(), settings, checkpoints,
        dist_context=dist_context, on_epoch_end=lambda _: None,
    )  # fmt: skip
    results["reports"] = [(report.epoch, report.loss, report.f1, report.best) for report in reports]
    results["saved_epochs"] = sorted(checkpoints.all)
    save_file(model.state_dict(), Path(folder) / f"trained-{rank}.safetensors")
    (Path(folder) / f"{rank}.json").write_text(json.dumps(results))
    dist.destroy_process_group()


def test_two_workers(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=worker, args=(1, str(tmp_path)))
    process.start()
    worker(0, str(tmp_path))
    process.join()
    assert process.exitcode == 0
    results = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert [result.pop("rank") for result in results] == [0, 1]
    assert [result.pop("saved_epochs") for result in results] == [[1, 2], []]
    assert results[0] == results[1]
    assert results[0]["world_size"] == 2
    assert results[0]["sums"] == [2.0, 2**41 + 1]
    assert results[0]["gathered"] == [[0, 7], [1, 7]]
    assert results[0]["gradients"] == [[3.0, 4.0], [4.0, 5.0], [0.0, 0.0]]
    assert [report[0] for report in results[0]["reports"]] == [1, 2]

    rank_0 = word_recognizer(seed=0).model.state_dict() | {"seen": torch.tensor(5)}
    for rank in (0, 1):
        broadcast = load_file(tmp_path / f"broadcast-{rank}.safetensors")
        assert broadcast.keys() == rank_0.keys()
        assert all(torch.equal(broadcast[name], tensor) for name, tensor in rank_0.items())
    trained_0, trained_1 = (load_file(tmp_path / f"trained-{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(trained_0[name], trained_1[name]) for name in trained_0)
    assert not torch.equal(trained_0["classifier.weight"], rank_0["classifier.weight"])


def test_single_process_is_the_identity() -> None:
    dist_context = DistContext(CPU)
    assert (dist_context.rank, dist_context.world_size) == (0, 1)
    assert dist_context.all_reduce(1, 2.5) == [1, 2.5]
    tensor = torch.arange(3)
    assert dist_context.all_gather(tensor) == [tensor]
    with_gradient, without_gradient = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    with_gradient.grad = torch.ones(1)
    dist_context.all_reduce_gradients([with_gradient, without_gradient])
    assert with_gradient.grad.item() == 1
    assert without_gradient.grad is None
    model = torch.nn.Linear(2, 2)
    before = model.weight.detach().clone()
    dist_context.broadcast(model)
    assert torch.equal(model.weight, before)
