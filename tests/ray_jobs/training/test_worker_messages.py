"""Messages of training workers: they reach the driver from other processes, and errors keep their class."""

import pytest
import ray
from ray.util.queue import Queue

from amia.errors import CorpusError, StageError
from ray_jobs.training.worker_messages import WorkerReporter, relay_messages


@ray.remote(num_cpus=0)
def send(reporter: WorkerReporter, line: str, error: CorpusError | None) -> None:
    reporter.log(line)
    if error is not None:
        reporter.report_error(error)


def run_worker(line: str, error: CorpusError | None = None, block_error: StageError | None = None) -> list[str]:
    """Send messages from another process, raise `block_error` in this one, and return the lines that arrive."""
    lines: list[str] = []
    queue = Queue(actor_options={"num_cpus": 0})
    with relay_messages(queue, lines.append):
        ray.get(send.remote(WorkerReporter(queue), line, error))
        if block_error is not None:
            raise block_error
    return lines


def test_relays_lines(cluster: None) -> None:
    assert run_worker("epoch 1") == ["epoch 1"]


def test_raises_the_error_of_a_worker(cluster: None) -> None:
    with pytest.raises(CorpusError, match="no labeled posts"):
        run_worker("epoch 1", CorpusError("no labeled posts"))


def test_error_of_a_worker_takes_precedence(cluster: None) -> None:
    with pytest.raises(CorpusError) as error_info:
        run_worker("epoch 1", CorpusError("no labeled posts"), StageError("Ray Train failed"))
    assert isinstance(error_info.value.__cause__, StageError)


def test_raises_the_error_of_the_block(cluster: None) -> None:
    with pytest.raises(StageError, match="Ray Train failed"):
        run_worker("epoch 1", block_error=StageError("Ray Train failed"))


def test_discards_messages_without_a_queue() -> None:
    reporter = WorkerReporter()
    reporter.log("epoch 1")
    reporter.report_error(CorpusError("no labeled posts"))
