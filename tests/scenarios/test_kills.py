"""`kill -9` of an actor, a raylet or the driver at random moments of a job on a running cluster, and SIGTERM.

`tests/benchmarks/bench_kills.py` repeats it with the real job.
"""

import random
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ray_jobs.storage.store import Store
from tests.helpers.drivers import finish, read_files, start_python
from tests.helpers.nodes import Nodes, running_cluster
from tests.helpers.paths import ROOT
from tests.helpers.toy import Blend, Toy, instruct, toy_plan

SHARDS = 16
FOLDERS = ("drawn", "blended")
STOPPED_MESSAGE = "stopped: published files stay, start the same command again to resume\n"
ALL_KEYS = {f"{folder}/{shard}.parquet" for folder in FOLDERS for shard in toy_plan(SHARDS).shards}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with running_cluster(2, 2) as cluster_nodes:
        yield cluster_nodes


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A run in which every shard takes 0.1 s, so that there is time to kill."""
    (tmp_path / "run" / "instructions").mkdir(parents=True)
    store = Store(tmp_path / "run")
    for stage in (Toy, Blend):
        instruct(store, "nap", stage, text="0.1")
    return store


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Expected content of each file."""
    store = Store(tmp_path_factory.mktemp("undisturbed"))
    for stage in (Toy(store), Blend(store)):
        for shard in toy_plan(SHARDS).shards:
            stage.publish(shard, shard)
    return read_files(store.folder, *FOLDERS)


def start_job(nodes: Nodes, store: Store) -> subprocess.Popen[str]:
    return start_python(
        str(ROOT / "tests" / "helpers" / "toy_job.py"), "toy", store.address, "--shards", str(SHARDS), **nodes.env()
    )


def wait_for_shards(process: subprocess.Popen[str], store: Store, count: int) -> None:
    """Wait until that many shards are published."""
    while sum(len(store.list(folder)) for folder in FOLDERS) < count:
        assert process.poll() is None, f"ended too early: {finish(process)}"


@pytest.mark.promise(1)
@pytest.mark.parametrize(
    ("kinds", "seed"),
    [
        (("driver", "actor", "raylet"), 1),
        pytest.param(("actor",), 2, marks=pytest.mark.slow),  # each kind alone, at other random moments
        pytest.param(("driver",), 3, marks=pytest.mark.slow),
        pytest.param(("raylet",), 4, marks=pytest.mark.slow),
    ],
    ids=["all", "actor", "driver", "raylet"],
)
def test_same_result_after_kills(
    nodes: Nodes, store: Store, undisturbed: dict[str, bytes], kinds: Sequence[str], seed: int
) -> None:
    rng = random.Random(seed)
    process = start_job(nodes, store)
    part = SHARDS // len(kinds)
    for number, kind in enumerate(kinds):
        wait_for_shards(process, store, number * part + rng.randrange(1, part))
        assert len(read_files(store.folder, *FOLDERS)) < len(ALL_KEYS), "too late for this test"
        if kind == "driver":
            process.kill()
            assert finish(process)[0] == -signal.SIGKILL
            process = start_job(nodes, store)
        elif kind == "actor":
            assert nodes.kill_actor(rng.randrange(2))
        else:
            assert nodes.kill_raylet(nodes.node_of("MapWorker"))
            nodes.add(2)  # replaces the lost node; not before, since the job may end while a node starts
    code, stdout, stderr = finish(process)
    assert (code, stderr) == (0, ""), stdout
    nodes.settle()
    files = read_files(store.folder, *FOLDERS)
    half_written = {key for key in files if "#" in key}  # by killed processes; readers ignore them
    assert {key: files[key] for key in files.keys() - half_written} == undisturbed
    assert not any(key.endswith(".parquet") for key in half_written)


@pytest.mark.promise(14)
def test_sigterm_finishes_shards_in_progress(nodes: Nodes, store: Store, undisturbed: dict[str, bytes]) -> None:
    process = start_job(nodes, store)
    wait_for_shards(process, store, 5)
    process.terminate()
    code, stdout, stderr = finish(process)
    assert code == 143, stderr
    assert stderr == STOPPED_MESSAGE
    assert "Traceback" not in stdout
    files = read_files(store.folder, *FOLDERS)
    assert 5 <= len(files) < len(ALL_KEYS), "stopped too late for this test"
    assert not [key for key in files if "#" in key], "a shard in progress was discarded"
    assert files.items() <= undisturbed.items()
    code, _, stderr = finish(start_job(nodes, store))
    assert (code, stderr) == (0, "")
    assert read_files(store.folder, *FOLDERS) == undisturbed


@pytest.mark.promise(14)
def test_sigterm_before_the_first_shard(nodes: Nodes, store: Store, tmp_path: Path) -> None:
    instruct(store, "wait", Toy, toy_plan(SHARDS).shards[0], "never")
    process = start_job(nodes, store)
    while not list((store.folder / "instructions").glob("up-*")):
        assert process.poll() is None
    process.terminate()
    process.terminate()  # the second signal does not wait
    code, _, stderr = finish(process)
    assert (code, stderr) == (143, STOPPED_MESSAGE)
