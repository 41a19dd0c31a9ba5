"""`kill -9` of an actor, a raylet or the driver at drawn moments of a job on a standing cluster, and SIGTERM.

`tests/benchmarks/bench_kills.py` does it again and again, to the real job.
"""

import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_jobs.storage.store import Store
from tests.helpers.drivers import contents, finish, start_python
from tests.helpers.nodes import Nodes, standing_cluster
from tests.helpers.paths import ROOT
from tests.helpers.toy import Blend, Toy, plan_of, wish

SHARDS = 16
FOLDERS = ("drawn", "blended")
SAID = "stopped: published files stay, start the same command again to resume\n"
RIGHT = {f"{folder}/{shard}.parquet" for folder in FOLDERS for shard in plan_of(SHARDS).shards}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with standing_cluster(2, 2) as some:
        yield some


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A run in which every shard takes a moment, so that there is time to kill."""
    (tmp_path / "run" / "wishes").mkdir(parents=True)
    store = Store(tmp_path / "run")
    for stage in (Toy, Blend):
        wish(store, "nap", stage, text="0.1")
    return store


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What each file must hold."""
    store = Store(tmp_path_factory.mktemp("calm"))
    for stage in (Toy(store), Blend(store)):
        for shard in plan_of(SHARDS).shards:
            stage.publish(shard, shard)
    return contents(store.folder, *FOLDERS)


def job(nodes: Nodes, store: Store) -> subprocess.Popen[str]:
    return start_python(
        str(ROOT / "tests" / "helpers" / "toy_job.py"), "toy", store.address, "--shards", str(SHARDS), **nodes.env()
    )


def until(process: subprocess.Popen[str], store: Store, published: int) -> None:
    """Wait until so many shards are there."""
    while sum(len(store.list(folder)) for folder in FOLDERS) < published:
        assert process.poll() is None, f"ended before its moment: {finish(process)}"


@pytest.mark.promise(1)
@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        ("actor", 1),
        pytest.param("actor", 2, marks=pytest.mark.slow),  # another moment each
        ("driver", 3),
        pytest.param("driver", 4, marks=pytest.mark.slow),
        ("raylet", 5),
    ],
    ids=str,
)
def test_killed_and_started_again_it_comes_to_the_same(
    nodes: Nodes, store: Store, undisturbed: dict[str, bytes], kind: str, seed: int
) -> None:
    draw = random.Random(seed)
    process = job(nodes, store)
    until(process, store, draw.randrange(1, SHARDS))
    if kind == "driver":
        process.kill()
        assert finish(process)[0] == -signal.SIGKILL
        assert len(contents(store.folder, *FOLDERS)) < len(RIGHT), "killed too late to show anything"
        process = job(nodes, store)
    elif kind == "actor":
        assert nodes.kill_actor(draw.randrange(4))
    else:
        nodes.add(2)  # machines come and go: a new one for the one that is lost
        assert nodes.kill_raylet()
    code, said, complained = finish(process)
    assert (code, complained) == (0, ""), said
    nodes.settle()
    found = contents(store.folder, *FOLDERS)
    half_written = {key for key in found if "#" in key}  # of killed processes: no reader takes them for shards
    assert {key: found[key] for key in found.keys() - half_written} == undisturbed
    assert not any(key.endswith(".parquet") for key in half_written)


@pytest.mark.promise(14)
def test_sigterm_finishes_the_shards_in_hand_and_leaves_the_rest_to_the_next_start(
    nodes: Nodes, store: Store, undisturbed: dict[str, bytes]
) -> None:
    process = job(nodes, store)
    until(process, store, 5)
    process.terminate()
    code, said, complained = finish(process)
    assert code == 143, complained
    assert complained == SAID
    assert "Traceback" not in said
    found = contents(store.folder, *FOLDERS)
    assert 5 <= len(found) < len(RIGHT), "there was nothing left to stop"
    assert not [key for key in found if "#" in key], "a shard in hand was thrown away"
    assert found.items() <= undisturbed.items()
    code, _, complained = finish(job(nodes, store))
    assert (code, complained) == (0, "")
    assert contents(store.folder, *FOLDERS) == undisturbed


@pytest.mark.promise(14)
def test_sigterm_before_there_is_work_in_hand_leaves_at_once(nodes: Nodes, store: Store, tmp_path: Path) -> None:
    wish(store, "wait", Toy, plan_of(SHARDS).shards[0], "never")
    process = job(nodes, store)
    while not list((store.folder / "wishes").glob("up-*")):
        assert process.poll() is None
    process.terminate()
    process.terminate()  # whoever cannot wait says so twice
    code, _, complained = finish(process)
    assert (code, complained) == (143, SAID)
