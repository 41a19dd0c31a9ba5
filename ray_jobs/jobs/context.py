"""The context of a job: one run with its settings, its plan and the cluster."""

from collections.abc import Sequence
from dataclasses import dataclass

from amia.errors import RunError
from amia.images import ImageSettings
from ray_jobs.runtime.cluster import Cluster, connect
from ray_jobs.runtime.console import console
from ray_jobs.runtime.executor import AnyStage, StageSpec, run_stages, unpublished
from ray_jobs.settings.job import Pool, Settings
from ray_jobs.storage.combined import open_store
from ray_jobs.storage.earlier import check_same_settings
from ray_jobs.storage.facts import ShardFacts
from ray_jobs.storage.fingerprint import Identity, digest, read_identity
from ray_jobs.storage.layout import POSTS
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.removals import check_no_removal, removing_message
from ray_jobs.storage.store import Store

__all__ = ["RunContext", "open_context", "open_posts", "open_run"]


@dataclass(frozen=True, slots=True)
class RunContext:
    """A run whose corpus is ingested, and the cluster that works on it."""

    store: Store
    settings: Settings
    plan: Plan
    posts: Identity
    """Identity of `posts/`."""
    cluster: Cluster
    facts: ShardFacts
    """What the job knows of the shards."""
    quiet: bool = False
    """Print neither progress nor messages."""

    @property
    def posts_digest(self) -> str:
        """Digest of the identity of `posts/`."""
        return digest(self.posts)

    @property
    def images(self) -> ImageSettings:
        """Geometry from the settings, and the limits under which ingest accepted the images."""
        return self.settings.image.model_copy(update=self.posts["settings"]["image"])

    def log(self, text: str) -> None:
        """Print a message, unless the job is quiet."""
        if not self.quiet:
            console.print(text)

    def run(self, stages: Sequence[AnyStage], shards: Sequence[str]) -> None:
        """Run shards through one stage, or stream them through several. Published shards are skipped.

        Raises RunError if posts are being removed from the run, or were since the plan was read.
        """
        if any(unpublished(self.facts, stage, shards) for stage in stages):
            check_no_removal(self.store, self.plan.removal.number if self.plan.removal else 0)
        run_stages(
            self.store,
            self.cluster,
            self.plan,
            [StageSpec(stage, getattr(self.settings.pools, stage.pool)) for stage in stages],
            shards,
            wait_s=self.cluster.wait_s(self.settings.wait_for_gpus_s),
            quiet=self.quiet,
            stall_s=self.settings.stall_s,
            facts=self.facts,
        )

    def check_identity(self, stage: AnyStage) -> None:
        """Write or compare the identities of a stage's folders, after comparing them with those of the earlier run."""
        if self.plan.earlier:
            for folder in stage.folders():
                check_same_settings(self.plan.earlier[-1], folder, stage.identity(folder))
        existing = [self.facts.identity(folder) for folder in stage.folders()]
        if [identity and digest(identity) for identity in existing] != [stage.digest(name) for name in stage.folders()]:
            stage.check_or_write_identity()

    def find_identity(self, folder: str) -> Identity | None:
        """Return the identity of a folder; before it has one, that of the run that this one comes after."""
        existing = self.facts.identity(folder)
        if existing is None and self.plan.earlier:
            existing = read_identity(Store(self.plan.earlier[-1]), folder)
        return existing

    def device(self, requested: str, pool: Pool) -> str:
        """Return the device of a stage's model: as requested, or for `auto` a GPU if the pool has one, else the CPU."""
        if requested != "auto":
            return requested
        return "cuda" if self.cluster.fit_pools({"": pool})[""].gpus else "cpu"

    def decoders(self, pool: Pool) -> int:
        """Return the number of threads that decode images in one actor, at most the cores of a local cluster."""
        return self.cluster.fit_pools({"": pool})[""].decoders

    def threads(self, folder: str, pool: Pool) -> int:
        """Return the threads of one actor: from the settings, else from the identity of `folder`, else all cores."""
        existing = self.find_identity(folder)
        if pool.threads is None and existing is not None:
            return int(existing["settings"]["threads"])
        return self.cluster.threads(pool)


def open_run(store: Store) -> tuple[Plan, Identity]:
    """Return the plan and the identity of the posts of an ingested run.

    Raises RunError if ingest is not complete, or while posts are being removed.
    """
    plan, posts, _ = _open(store, publishes=False)
    return plan, posts


def open_context(run: str, settings: Settings, *, with_earlier: bool = False, quiet: bool = False) -> RunContext:
    """Check the storage and the posts of a run, then connect to the cluster.

    `with_earlier`: read the runs that it comes after, too.
    """
    store = open_store(run, with_earlier=with_earlier)
    plan, posts, facts = _open(store, publishes=True)
    store.probe()
    return RunContext(store, settings, plan, posts, connect(), facts, quiet)


def open_posts(store: Store) -> tuple[Plan, Identity]:
    """Do the same as `open_run` for the removal of posts itself."""
    plan, posts, _ = _open(store, publishes=False, removing=True)
    return plan, posts


def _open(store: Store, *, publishes: bool, removing: bool = False) -> tuple[Plan, Identity, ShardFacts]:
    plan = Plan.find(store)
    facts = None if plan is None else ShardFacts(store, plan, publishes=publishes)
    posts = None if facts is None else facts.identity(POSTS)
    if plan is None or facts is None or posts is None:
        raise RunError(f"no posts in {store.address}: start with `amia ingest SOURCE --run {store.address}`")
    if plan.removing and not removing:
        raise RunError(removing_message(store))
    missing = plan.missing_posts(facts)
    if missing:
        raise RunError(
            f"{len(missing)} of {len(plan.shards)} shards of posts are missing in {store.address}: "
            "start the same `amia ingest` again, it continues where it stopped"
        )
    return plan, posts, facts
