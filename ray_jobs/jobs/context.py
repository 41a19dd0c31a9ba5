"""One run with its settings, plan and machines: what every part of a job needs to know."""

from collections.abc import Sequence
from dataclasses import dataclass

from amia.errors import RunError
from amia.images import ImageSettings
from amia.utils.config import Compile
from ray_jobs.runtime.cluster import Cluster, connect
from ray_jobs.runtime.console import console
from ray_jobs.runtime.executor import AnyStage, StageSpec, run_stages
from ray_jobs.settings.job import Pool, Settings
from ray_jobs.storage.fingerprint import Identity, digest, read_identity
from ray_jobs.storage.layout import POSTS
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store

__all__ = ["RunContext", "compile_key", "dtype_key", "open_context", "open_run", "shaded"]


@dataclass(frozen=True, slots=True)
class RunContext:
    """A run whose corpus is ingested, on machines that are connected."""

    store: Store
    settings: Settings
    plan: Plan
    posts: Identity
    """The identity of `posts/`."""
    machines: Cluster
    quiet: bool = False

    @property
    def posts_digest(self) -> str:
        """Digest of the identity of `posts/`: the input of whatever reads them."""
        return digest(self.posts)

    @property
    def images(self) -> ImageSettings:
        """Geometry as asked now, and the limits under which ingest decoded: what it let in stays let in."""
        return self.settings.image.model_copy(update=self.posts["settings"]["image"])

    def say(self, text: str) -> None:
        """A line for the person."""
        if not self.quiet:
            console.print(text)

    def run(self, stages: Sequence[tuple[AnyStage, Pool]], shards: Sequence[str]) -> None:
        """Run shards through one stage, or through two of them streaming."""
        run_stages(
            self.store,
            self.machines,
            self.plan,
            [StageSpec(stage, pool) for stage, pool in stages],
            shards,
            wait_s=self.machines.wait_s(self.settings.wait_for_gpus_s),
            quiet=self.quiet,
        )

    def device(self, asked: str, pool: Pool) -> str:
        """The device of a stage's model: as set; else the GPU that its pool takes, else the CPU."""
        if asked != "auto":
            return asked
        return "cuda" if self.machines.fit_pools({"": pool})[""].gpus else "cpu"

    def decoders(self, pool: Pool) -> int:
        """Threads that decode images in one actor: no more than a machine of its own has cores."""
        return self.machines.fit_pools({"": pool})[""].decoders

    def threads(self, folder: str, pool: Pool) -> int:
        """Threads of one actor: as set; else as the folder was begun with; else this machine's cores."""
        begun = read_identity(self.store, folder)
        if pool.threads is None and begun is not None:
            return int(begun["settings"]["threads"])
        return self.machines.threads(pool)


def open_run(store: Store) -> tuple[Plan, Identity]:
    """The plan and the identity of an ingested run. Raises RunError when nothing was ingested here."""
    plan, posts = Plan.find(store), read_identity(store, POSTS)
    if plan is None or posts is None:
        raise RunError(f"no posts in {store.address}: start with `amia ingest SOURCE --run {store.address}`")
    missing = plan.missing_posts(store)
    if missing:
        raise RunError(
            f"{len(missing)} of {len(plan.shards)} shards of posts are not there yet in {store.address}: "
            "start the same `amia ingest` again, it goes on where it stopped"
        )
    return plan, posts


def open_context(run: str, settings: Settings, *, quiet: bool = False) -> RunContext:
    """Check the storage and the posts, then connect to the machines."""
    store = Store(run)
    plan, posts = open_run(store)
    store.probe()
    return RunContext(store, settings, plan, posts, connect(), quiet)


def dtype_key(asked: str, device: str) -> str:
    """Precision of a stage's model as far as it is known before a GPU is seen: part of its identity."""
    return asked if asked != "auto" else "float32" if device == "cpu" else "half"


def compile_key(asked: Compile, device: str) -> dict[str, bool]:
    """What makes the model faster there and moves its last bits, likewise; nothing for a CPU that was not told to."""
    gpu = device != "cpu"
    compiled = gpu if asked == "auto" else asked
    return ({"channels_last": True} if gpu else {}) | ({"compile": compiled} if gpu or compiled else {})


def shaded(asked: str, device: str) -> dict[str, str]:
    """In what a half-precision generator's values become gray levels: it was its own precision once."""
    return {} if dtype_key(asked, device) == "float32" else {"shades": "float32"}
