"""Stages without a model, for tests of how shards are spread over actors. Actors import this file, so it is light.

What a stage shall do at a shard is a file in the run's folder, so that any process can ask for it and see it.
"""

import os
import signal
import time
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from amia.errors import ModelError, StoreError
from ray_jobs.stages.base import Stage
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import ShardMetadata, encode
from ray_jobs.storage.store import Store

PATIENCE_S = 60.0
SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM}


def plan_of(shards: int) -> Plan:
    """A plan of so many shards of two posts, in one split."""
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


def until(happened: Path, what: str) -> None:
    """Wait for a file that another process writes."""
    deadline = time.monotonic() + PATIENCE_S
    while not happened.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen in {PATIENCE_S:g} s")
        time.sleep(0.01)


class Toy(Stage[str, str]):
    """A shard's name -> a shard that holds it. `wish(run, "break", stage, shard)` makes it do something else."""

    name: ClassVar[str] = "drawn"
    pool: ClassVar[str] = "draw"
    version = 1
    reads: ClassVar[str | None] = None
    """The stage that must have published a shard before this one gets it."""

    def __init__(self, store: Store, actors: int = 1) -> None:
        super().__init__(store)
        self._actors = actors
        """How many actors must be at work before any goes on."""

    @property
    def wishes(self) -> Path:
        """Where tests leave their wishes, and stages what they did."""
        assert self.store.folder is not None
        return self.store.folder / "wishes"

    def identity(self, folder: str) -> Identity:
        return {"stage": folder}

    def setup(self) -> None:
        if (self.wishes / f"model-{self.name}").exists():
            raise ModelError("no weights in some/folder")
        (self.wishes / f"up-{self.name}-{os.getpid()}").touch()
        deadline = time.monotonic() + PATIENCE_S
        while len(list(self.wishes.glob(f"up-{self.name}-*"))) < self._actors:
            assert time.monotonic() < deadline, f"{self._actors} actors of {self.name} never worked at the same time"
            time.sleep(0.01)

    def load(self, shard: str) -> str:
        if self.reads is not None:
            assert self.store.exists(f"{self.reads}/{shard}.parquet"), f"{shard} came before {self.reads} published it"
        return shard

    def run(self, loaded: str) -> str:
        if (self.wishes / f"break-{self.name}-{loaded}").exists():
            raise ValueError(f"a bug at {loaded}")
        if (self.wishes / f"store-{self.name}-{loaded}").exists():
            raise StoreError("the disk is full")
        if (nap := self.wishes / f"nap-{self.name}").exists():
            time.sleep(float(nap.read_text()))
        if (wait := self.wishes / f"wait-{self.name}-{loaded}").exists():
            # The file's content names a key that must be published first.
            until(self.store.folder / wait.read_text(), wait.read_text())  # type: ignore[operator]  # on disk
        for kind, signal_number in SIGNALS.items():
            if (wished := self.wishes / f"{kind}-{self.name}-{loaded}").exists():
                times = int(wished.read_text())
                if times > 1:
                    wished.write_text(str(times - 1))
                else:
                    wished.unlink()
                os.kill(os.getpid(), signal_number)
                time.sleep(PATIENCE_S)  # a signal may take a moment
        return loaded

    def publish(self, shard: str, done: str) -> ShardMetadata:
        data, facts = encode(pa.table({"id": [f"{done}-{row}" for row in range(2)]}), stage=self.name, identity="toy")
        self.store.create(self.keys(shard)[0], data)
        return facts


class Blend(Toy):
    """A second stage: a shard's name and the first stage's file of it -> a shard."""

    name: ClassVar[str] = "blended"
    pool: ClassVar[str] = "blend"
    reads: ClassVar[str | None] = "drawn"


class Draw(Toy):
    """The first stage under the name of a real one, for those who look at a run's folders."""

    name: ClassVar[str] = "synthesized"


class Fail(Toy):
    """A stage at which 30 posts of each shard fail."""

    name: ClassVar[str] = "failing"

    def failures(self, done: str) -> dict[str, list[str]]:
        return {"image=bad_image(empty)": [f"{done}-{number}" for number in range(30)]}


def wish(store: Store, kind: str, stage: type[Toy], shard: str = "", text: str = "") -> None:
    """Leave a wish: `model` (setup fails), `break`, `store`, `wait` (for the key in `text`), `kill`, `term` (`text`
    times), `nap` (of `text` seconds, at every shard)."""
    assert store.folder is not None
    (store.folder / "wishes" / "-".join(part for part in (kind, stage.name, shard) if part)).write_text(text)
