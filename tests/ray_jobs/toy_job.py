"""`python toy_job.py toy RUN --shards 12`: both toy stages as a command of `amia`, on the cluster it is attached to."""

from pathlib import Path

from toy import Blend, Toy, plan_of

from ray_jobs.cli.main import app, main
from ray_jobs.runtime.cluster import connect
from ray_jobs.runtime.executor import Step, run_steps
from ray_jobs.runtime.signals import stoppable
from ray_jobs.settings.job import Pool
from ray_jobs.storage.store import Store


@app.command()
@stoppable
def toy(run: Path, shards: int = 12, actors: int = 1, lease: int = 2) -> None:
    """All shards through both stages."""
    (run / "wishes").mkdir(parents=True, exist_ok=True)
    store, plan, pool = Store(run), plan_of(shards), Pool(cpus=0.5, max=actors, lease=lease)
    steps = [Step(stage, pool) for stage in (Toy(store), Blend(store))]
    run_steps(store, connect(), plan, steps, plan.shards, wait_s=60, quiet=False)


if __name__ == "__main__":
    main()
