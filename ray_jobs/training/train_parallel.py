"""Several trainings at once, one a Ray task: for recognisers that need one worker each."""

from collections.abc import Sequence

import ray
from ray.util.queue import Queue

from amia.errors import AmiaError, RunError
from amia.mner.training.trainer import EpochReport
from ray_jobs.jobs.context import Job
from ray_jobs.jobs.train import Trained, fitted, result_of
from ray_jobs.runtime.cluster import beside_the_driver
from ray_jobs.training.worker import Training, train_one
from ray_jobs.training.worker_messages import Teller, listening

__all__ = ["train_side_by_side"]


def train_side_by_side(job: Job, trainings: Sequence[Training]) -> list[Trained]:
    """Train those that are not finished, as many at a time as there is room for; results in the order asked.

    Raises the first error of a training when all have ended; what the others made is published all the same.
    """
    todo = [each for each in trainings if result_of(each) is None]
    if todo:
        workers = fitted(job, todo[0].arm)
        queue = Queue(actor_options=beside_the_driver())
        task = ray.remote(_train).options(
            num_cpus=workers.cpus, num_gpus=workers.gpus, max_retries=workers.max_failures
        )
        with listening(queue, job.say):
            ray.get([task.remote(each, BriefTeller(queue, each.folder.partition("/")[2])) for each in todo])
    results = [result_of(each) for each in trainings]
    if not all(results):
        raise RunError("not every training was finished: start the same command again, it goes on where it stopped")
    return [done for done in results if done]


class BriefTeller(Teller):
    """Of many trainings at once, one line each at the end is what a person can read."""

    def epoch(self, told: EpochReport) -> None:
        """Nothing; the curves stand in the run."""


def _train(training: Training, teller: Teller) -> None:
    try:
        reports = train_one(training, teller)
        best = max(reports, key=lambda each: (each.best, each.epoch))
        speed = sum(each.posts_per_s for each in reports) / len(reports)
        teller.say(f"best of {len(reports)} epochs: {best.epoch}, validation F1 {best.f1:.4f}, {speed:,.0f} posts/s")
    except AmiaError as error:
        teller.failed(error)
