"""`python toy_job.py toy RUN --shards 12`: both toy stages as a command of `amia`, on the cluster of RAY_ADDRESS."""

from pathlib import Path

from ray_jobs.cli.main import app, main
from ray_jobs.runtime.cluster import connect
from ray_jobs.runtime.executor import StageSpec, run_stages
from ray_jobs.runtime.signals import exit_on_sigterm
from ray_jobs.settings.job import Pool
from ray_jobs.storage.store import Store
from tests.helpers.toy import Blend, Toy, toy_plan


@app.command()
@exit_on_sigterm
def toy(run: Path, shards: int = 12, actors: int = 1, lease: int = 2, at_once: bool = False) -> None:
    """Run all shards through both stages. `at_once`: start all actors before the first shard."""
    (run / "instructions").mkdir(parents=True, exist_ok=True)
    store, plan, pool = (
        Store(run),
        toy_plan(shards),
        Pool(cpus=0.5, min=actors if at_once else 1, max=actors, lease=lease),
    )
    stages = [StageSpec(stage, pool) for stage in (Toy(store), Blend(store))]
    run_stages(store, connect(), plan, stages, plan.shards, wait_s=60, quiet=False, stall_s=600)


if __name__ == "__main__":
    main()
