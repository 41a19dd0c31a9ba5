"""What the tests of the distributed part share: one real Ray, one small drawn corpus, and runs to take copies of.

Sessions of Ray and imports of torch are dear, so there is one of each for the whole test process, and a run that many
tests start from is made once and copied.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
import ray
from hypothesis import settings as hypothesis_settings
from moto.server import ThreadedMotoServer
from ray._private.worker import global_worker
from xdist.scheduler import LoadScopeScheduling

from amia.demo import write_corpus
from amia.mixing.arms import CONTROLS
from ray_jobs.cli.main import main
from ray_jobs.jobs import context as context_module
from ray_jobs.jobs import first_pass as first_pass_module
from ray_jobs.jobs import ingest as ingest_module
from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.ingest import ingest
from ray_jobs.runtime.console import console
from ray_jobs.runtime.executor import StageSpec, run_locally
from ray_jobs.settings.job import Settings, load_settings
from ray_jobs.storage.store import Store
from tests.helpers.local_actors import local_actors
from tests.helpers.paths import ROOT
from tests.helpers.ray_settings import RAY_SETTINGS
from tests.helpers.recognizers import save_random
from tests.helpers.written_runs import WrittenRun, seed_of, write_model, write_predictions, write_run

# Hypothesis times each example by default; on a busy machine that says nothing about the code.
hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")

POSTS = 96
SMALL = (
    "per_shard=12",  # 6 shards of train, 2 of validation, 2 of test
    "clip.device=cpu",
    "generator.device=cpu",
    *(f"pools.{stage}.max=1" for stage in ("read", "sort", "fetch", "embed", "score", "synthesize", "mix")),
    *(f"pools.{stage}.gpus=0" for stage in ("embed", "synthesize")),
)
"""Settings of a small run, as the command line takes them: one actor a stage, no GPU."""

# Processes that the tests start would otherwise take as many threads as there are cores, each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.update(RAY_SETTINGS)


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """Ray with 8 CPUs and 4 GPUs, declared and not real; jobs in this process find themselves attached to it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)  # actors import `tests.helpers.toy`
        ray.init(
            address="local", num_cpus=8, num_gpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
        )
    yield
    started = [info.process for infos in global_worker.node.all_processes.values() for info in infos]
    ray.shutdown()
    for process in started:
        process.wait(timeout=20)  # Ray ends them without looking, and Python complains of those


@pytest.fixture(scope="session")
def small() -> Callable[..., Settings]:
    """Settings of the demo preset for a small run, and whatever else is asked for: `small("pools.mix.lease=1")`."""

    def settings(*words: str) -> Settings:
        return load_settings("demo", [*SMALL, *words])

    return settings


@pytest.fixture(scope="session")
def small_words() -> Sequence[str]:
    """The same settings as words for a command line."""
    return SMALL


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """A folder that the first of the parallel test processes makes: `made_once("corpus", write_corpus)`."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make_once(name: str, make: Callable[[Path], object]) -> Path:
        folder, unfinished = shared / f"once-{name}", base / f"unfinished-{name}"
        with (shared / f"once-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                make(unfinished)
                unfinished.rename(folder)
        return folder

    return make_once


@pytest.fixture(scope="session")
def corpus(made_once: Callable[..., Path]) -> Path:
    """A drawn corpus of 96 posts, some without an image and some with a broken one. Read it, never write to it."""
    return made_once(
        "corpus", lambda folder: write_corpus(folder, posts=POSTS, missing=0.05, broken=0.04, splits=(17 / 24, 7 / 48))
    )


@pytest.fixture(scope="session")
@local_actors()
def ingested(
    cluster: None,
    corpus: Path,
    made_once: Callable[..., Path],
    small: Callable[..., Settings],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A run whose corpus is ingested. Copy it (`copied`) before anything writes to it."""
    made = made_once("ingested", lambda run: ingest(str(corpus), str(run), small("max_failed=1"), quiet=True))
    return shutil.copytree(made, tmp_path_factory.mktemp("ingested") / "run")


@pytest.fixture(scope="session")
@local_actors()
def augmented(
    ingested: Path,
    made_once: Callable[..., Path],
    small: Callable[..., Settings],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The undisturbed run: all stages in one process, leases of three, arms adaptive and original. Copy it, too."""

    def make(run: Path) -> None:
        shutil.copytree(ingested, run)
        leases = [f"pools.{stage}.lease=3" for stage in ("embed", "score", "synthesize", "mix")]
        augment(str(run), small(*leases), arms=("adaptive", "original"), accept_mixture=True, quiet=True)

    return shutil.copytree(made_once("augmented", make), tmp_path_factory.mktemp("augmented") / "run")


@pytest.fixture(scope="session")
@local_actors()
def controls(augmented: Path, small: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run `augmented` with arm two-sided, and with all control arms. Copy it, too."""
    run = tmp_path_factory.mktemp("controls") / "run"
    shutil.copytree(augmented, run)
    augment(str(run), small(), arms=("two-sided", *CONTROLS), accept_mixture=True, quiet=True)
    return run


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a recognizer `tiny` that reads images, knows nothing, and finds entities everywhere. Copy it."""
    folder = tmp_path_factory.mktemp("recognizers")
    save_random(folder / "tiny", folder / "encoders")
    return folder / "tiny"


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> WrittenRun:
    """A run of 600 posts with two recognizers on two seeds, written without models. Add to it, or copy it."""
    run = write_run(WrittenRun(store=Store(tmp_path_factory.mktemp("written") / "run"), posts=600))
    for seed in (0, 1):
        for arm in ("original", "adaptive"):
            name = f"bert-crf-{arm}-seed{seed}"
            write_model(run.store, name, arm=arm, seed=seed, f1=[0.1, 0.5 + seed / 10, 0.4])
            write_predictions(run, name, arm, wrong=0.4, seed=seed_of(name))
    return run


@pytest.fixture
def copied(tmp_path: Path) -> Callable[..., Path]:
    """A copy of a run that a test may spoil: `copied(augmented, leaving_out=["synthesized"])`."""

    def copy(run: Path, leaving_out: Sequence[str] = ()) -> Path:
        target = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(run, target, ignore=lambda folder, names: set(leaving_out) if Path(folder) == run else set())
        return target

    return copy


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages run here, one after the other, where their models can be tampered with."""

    def run(store: Store, machines: object, plan: object, steps: Sequence[StageSpec], shards: Any, **_: Any) -> None:
        for step in steps:
            run_locally(step.stage, shards)

    for module in (context_module, first_pass_module, ingest_module):
        monkeypatch.setattr(module, "run_stages", run)


@pytest.fixture(scope="module")
def local_stages() -> Iterator[None]:
    """The jobs of a module run their actors in this process; how actors are started is tested elsewhere."""
    with local_actors():
        yield


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket on a local S3; found by the variables that `obstore` and boto3 read."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="amia-runs")
        yield "s3://amia-runs"
    server.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system of its own: `small_disk("size=1m")`. Skips where mounting is not allowed."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def amia(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run `amia words...` in this process; returns exit code, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["amia", *map(str, words)])
        monkeypatch.setattr(console, "stderr", False)  # restores it for later tests: `--json` sets it
        with pytest.raises(SystemExit) as exit_info:
            main()
        stdout, stderr = capfd.readouterr()
        return int(exit_info.value.code or 0), stdout, stderr

    return run


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--promises`."""
    parser.addoption("--promises", action="store_true", help="Print which tests hold which promise, and run nothing.")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Print the table of promises where `--promises` asks for it."""
    if not session.config.getoption("--promises"):
        return
    tests: dict[int, set[str]] = {}
    for item in session.items:
        for mark in item.iter_markers("promise"):
            slow = " (slow)" if item.get_closest_marker("slow") else ""
            for number in mark.args:
                tests.setdefault(number, set()).add(item.nodeid.partition("[")[0] + slow)
    for number, held_by in sorted(tests.items()):
        print(f"{number}: {', '.join(sorted(held_by))}")
    session.items.clear()


SHARED_BY = ("tests/ray_jobs", "tests/scenarios")
"""Folders whose tests share one Ray and the runs made with it, so each of them stays in one parallel worker."""


class FolderScheduling(LoadScopeScheduling):
    """Scheduling of pytest-xdist: the folders of `SHARED_BY` as a whole, all other tests file by file."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in SHARED_BY if file.startswith(folder)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FolderScheduling:
    """Return the scheduling of parallel tests."""
    return FolderScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of `SHARED_BY`, which take longest, first, so that parallel workers end at the same time."""
    items.sort(key=lambda item: not item.nodeid.startswith(SHARED_BY))
