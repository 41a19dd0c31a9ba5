"""`amia submit`: run a command of amia as a job of a Ray cluster, with the code of this machine."""

import asyncio
import shlex
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import ray
from ray.job_submission import JobStatus, JobSubmissionClient

from amia.errors import ClusterError
from ray_jobs.jobs.staging import StagedFile, copy_files
from ray_jobs.runtime.signals import GRACE_S, SIGTERM_EXIT_CODE

__all__ = ["ENV_VARS", "JobResult", "entrypoint_of", "follow_job", "submit_job"]

ENV_VARS = {"RAY_JOB_STOP_WAIT_TIME_S": f"{GRACE_S + 10:.0f}"}
"""Environment of the job. Ray's supervisor reads there how long `ray job stop` waits before it kills the job. Its own
default, 3 s, would discard the shards in progress; a command publishes them within `GRACE_S`, and then has to exit."""
POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job ended."""

    id: str
    status: str
    """SUCCEEDED, FAILED or STOPPED."""
    exit_code: int
    """Exit code of the command in the job, or 143 if the job was stopped."""


def entrypoint_of(command: Sequence[str]) -> str:
    """Return the shell command of a job that runs a command of amia."""
    return shlex.join(["python", "-m", "ray_jobs", *command])


def submit_job(command: Sequence[str], files: Sequence[StagedFile], address: str | None) -> tuple[str, str]:
    """Upload the files, start a command of amia on the head of the cluster, and return the address and the job's id.

    `address`: URL of the dashboard. Default: RAY_API_SERVER_ADDRESS or RAY_ADDRESS, else a Ray on this machine. Raises
    ClusterError if the cluster cannot be reached or refuses the job.
    """
    with tempfile.TemporaryDirectory(prefix="amia-") as folder:
        copy_files(files, Path(folder))
        runtime_env = {"working_dir": folder, "env_vars": ENV_VARS}
        try:
            client = JobSubmissionClient(address)
            job = client.submit_job(entrypoint=entrypoint_of(command), runtime_env=runtime_env)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise ClusterError(
                f"the cluster did not accept the job: {error}\nCheck --address (the URL of the dashboard, port 8265), "
                "and that RAY_AUTH_MODE=token and the token of the cluster are set here"
            ) from error
    return client.get_address(), job


def follow_job(address: str, job: str, show: Callable[[str], None]) -> JobResult:
    """Pass the output of a job to `show` until the job ends.

    Raises ClusterError if the connection is lost or if the job failed before its command ran.
    """
    try:
        client = JobSubmissionClient(address)
        asyncio.run(_tail(client, job, show))
        while not (info := client.get_job_info(job)).status.is_terminal():
            time.sleep(POLL_S)
    except (OSError, RuntimeError, aiohttp.ClientError) as error:
        raise ClusterError(
            f"the connection to {address} was lost: {error}\nThe job continues: `ray job logs --follow {job}` shows "
            "its output, and `amia status RUN` its progress"
        ) from error
    if info.status == JobStatus.SUCCEEDED:
        return JobResult(job, str(info.status), 0)
    if info.status == JobStatus.STOPPED:
        return JobResult(job, str(info.status), SIGTERM_EXIT_CODE)
    if info.driver_exit_code is None:
        raise ClusterError(f"the job {job} failed before its command ended: {info.message}")
    return JobResult(job, str(info.status), info.driver_exit_code if info.driver_exit_code > 0 else 1)


async def _tail(client: JobSubmissionClient, job: str, show: Callable[[str], None]) -> None:
    async for lines in client.tail_job_logs(job):
        show(lines)
