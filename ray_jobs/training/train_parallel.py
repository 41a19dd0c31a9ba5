"""Several trainings at once, one a Ray task: for recognizers that need one worker each."""

from collections.abc import Sequence

import ray
from ray.util.queue import Queue

from amia.errors import AmiaError, RunError
from amia.mner.training.trainer import EpochReport
from ray_jobs.jobs.context import RunContext
from ray_jobs.jobs.train import TrainResult, fit_workers, load_result
from ray_jobs.runtime.cluster import driver_node_options
from ray_jobs.training.worker import Training, train_one
from ray_jobs.training.worker_messages import WorkerReporter, relay_messages

__all__ = ["train_parallel"]


def train_parallel(job: RunContext, trainings: Sequence[Training]) -> list[TrainResult]:
    """Train those that are not finished, as many at a time as there is room for; results in the order asked.

    Raises the first error of a training when all have ended; what the others made is published all the same.
    """
    todo = [each for each in trainings if load_result(each) is None]
    if todo:
        workers = fit_workers(job, todo[0].arm)
        queue = Queue(actor_options=driver_node_options())
        task = ray.remote(_train).options(
            num_cpus=workers.cpus, num_gpus=workers.gpus, max_retries=workers.max_failures
        )
        with relay_messages(queue, job.say):
            ray.get([task.remote(each, BriefReporter(queue, each.folder.partition("/")[2])) for each in todo])
    results = [load_result(each) for each in trainings]
    if not all(results):
        raise RunError("not every training was finished: start the same command again, it goes on where it stopped")
    return [done for done in results if done]


class BriefReporter(WorkerReporter):
    """Of many trainings at once, one line each at the end is what a person can read."""

    def epoch(self, told: EpochReport) -> None:
        """Nothing; the curves stand in the run."""


def _train(training: Training, teller: WorkerReporter) -> None:
    try:
        reports = train_one(training, teller)
        best = max(reports, key=lambda each: (each.best, each.epoch))
        speed = sum(each.posts_per_s for each in reports) / len(reports)
        teller.say(f"best of {len(reports)} epochs: {best.epoch}, validation F1 {best.f1:.4f}, {speed:,.0f} posts/s")
    except AmiaError as error:
        teller.failed(error)
