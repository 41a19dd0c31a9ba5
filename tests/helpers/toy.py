"""Stages without a model, for tests of the executor. Actors import this module, so it is small.

Files in a folder of the run instruct a stage what to do at a shard, so that any process can write and read them.
"""

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import ray

from amia.errors import ModelError, StoreError
from ray_jobs.stages.base import Stage
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import ShardMetadata, encode
from ray_jobs.storage.store import Store

TIMEOUT_S = 60.0
SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM}


def toy_plan(shards: int) -> Plan:
    """Return a plan of one split with two posts per shard."""
    return Plan(
        posts={"train": 2 * shards},
        per_shard=2,
        seed=0,
        digest="toy",
        types=[],
        rejected=0,
        repaired=0,
        labeled=0,
        source={},
        scratch="scratch/toy",
        segments={"train": [2 * shards]},
    )


def wait_for_file(path: Path, description: str) -> None:
    """Wait for a file that another process writes. Raises TimeoutError with the description of what it waits for."""
    deadline = time.monotonic() + TIMEOUT_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{description} did not happen in {TIMEOUT_S:g} s")
        time.sleep(0.01)


class Toy(Stage[str, str]):
    """Shard name -> a shard that holds it. See `instruct` for what else it can do."""

    name: ClassVar[str] = "drawn"
    pool: ClassVar[str] = "draw"
    version = 1
    reads: ClassVar[str | None] = None
    """Stage that must have published a shard before this one gets it."""

    def __init__(self, store: Store, actors: int = 1) -> None:
        """`actors` must have started before any of them continues."""
        super().__init__(store)
        self._actors = actors

    @property
    def instructions(self) -> Path:
        """Folder of instructions, and of the files by which actors report that they started."""
        assert self.store.folder is not None
        return self.store.folder / "instructions"

    def identity(self, folder: str) -> Identity:
        return {"stage": folder}

    def setup(self) -> None:
        if (self.instructions / f"model-{self.name}").exists():
            raise ModelError("no weights in some/folder")
        (self.instructions / f"up-{self.name}-{os.getpid()}").touch()
        deadline = time.monotonic() + TIMEOUT_S
        while len(list(self.instructions.glob(f"up-{self.name}-*"))) < self._actors:
            assert time.monotonic() < deadline, f"{self._actors} actors of {self.name} never ran at the same time"
            time.sleep(0.01)

    def load(self, shard: str) -> str:
        if self.reads is not None:
            assert self.store.exists(f"{self.reads}/{shard}.parquet"), f"{self.reads} has not published {shard}"
        return shard

    def run(self, loaded: str) -> str:
        if (self.instructions / f"break-{self.name}-{loaded}").exists():
            raise ValueError(f"a bug at {loaded}")
        if self._take(f"fault-{self.name}-{loaded}"):
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if self._take(f"hang-{self.name}-{loaded}"):
            ctypes.PyDLL(None).sleep(int(TIMEOUT_S))  # a C function that does not release the interpreter lock
        if (node := self.instructions / f"bad_node-{self.name}").exists():
            node_id = ray.get_runtime_context().get_node_id()
            if node.read_text() in ("", node_id):
                node.write_text(node_id)  # the first node that comes is the bad one
                raise RuntimeError("CUDA error: device lost")
        if (self.instructions / f"store-{self.name}-{loaded}").exists():
            raise StoreError("the disk is full")
        if (nap := self.instructions / f"nap-{self.name}").exists():
            time.sleep(float(nap.read_text()))
        if (wait := self.instructions / f"wait-{self.name}-{loaded}").exists():
            key = wait.read_text()
            wait_for_file(self.store.folder / key, key)  # type: ignore[operator]  # the store is on disk
        for kind, signal_number in SIGNALS.items():
            if self._take(f"{kind}-{self.name}-{loaded}"):
                os.kill(os.getpid(), signal_number)
                time.sleep(TIMEOUT_S)  # the signal may take a moment
        return loaded

    def _take(self, name: str) -> bool:
        """Return whether an instruction is there, and count one of its times down."""
        instruction = self.instructions / name
        if not instruction.exists():
            return False
        times = int(instruction.read_text())
        if times > 1:
            instruction.write_text(str(times - 1))
        else:
            instruction.unlink()
        return True

    def publish(self, shard: str, done: str) -> ShardMetadata:
        table = pa.table({"id": [f"{done}-{row}" for row in range(2)]})
        data, metadata = encode(table, stage=self.name, identity="toy")
        self.store.create(self.keys(shard)[0], data)
        return metadata


class Blend(Toy):
    """A second stage, which needs the shards of the first."""

    name: ClassVar[str] = "blended"
    pool: ClassVar[str] = "blend"
    reads: ClassVar[str | None] = "drawn"


class Draw(Toy):
    """The first stage with the folder of a real one, for tests of `amia status`."""

    name: ClassVar[str] = "synthesized"


class Fail(Toy):
    """A stage in which 30 posts of each shard fail."""

    name: ClassVar[str] = "failing"

    def failures(self, done: str) -> dict[str, list[str]]:
        return {"image=bad_image(empty)": [f"{done}-{number}" for number in range(30)]}


class Degraded(Toy):
    """A stage with two inputs per shard that needed a smaller micro-batch, and a part that could not be compiled."""

    name: ClassVar[str] = "degraded"

    def log_fields(self, done: str) -> dict[str, Any]:
        return {"oom_reduced": 2, "uncompiled": {"unet": "no Triton here"}}


def instruct(store: Store, kind: str, stage: type[Toy], shard: str = "", text: str = "") -> None:
    """Write an instruction for a stage, at one shard or in general.

    Kinds: `model` (setup fails), `break` (run raises ValueError), `store` (run raises StoreError), `wait` (for the key
    in `text`), `kill` and `term` (the actor gets the signal, `text` times), `fault` (run raises RuntimeError, `text`
    times), `hang` (run hangs with the interpreter lock held, `text` times), `bad_node` (run raises RuntimeError on the
    first node), `nap` (of `text` seconds at every shard).
    """
    assert store.folder is not None
    name = "-".join(part for part in (kind, stage.name, shard) if part)
    (store.folder / "instructions" / name).write_text(text)
