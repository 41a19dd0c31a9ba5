"""`amia plan`: how long a job takes on machines that need not exist yet, what it costs, and what limits it.

The executions are the three of ingest and those of `execution_plan`. Each streams posts through one or two stages and
takes as long as the busiest of its shared resources: the GPUs, the cores, the actors of a stage, the driver. To this
comes the time to start it and, at its end, the last lease of the actors that the others wait for.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from amia.errors import SettingsError
from ray_jobs.jobs.execution_plan import Execution, Part, StageRef, execution_plan
from ray_jobs.settings.job import Pool, Settings
from ray_jobs.settings.rates import FIRST_PASS, Rates, StageRate
from ray_jobs.storage.layout import POSTS, SYNTHESIZED, SYNTHESIZED_SCORES

__all__ = ["ExecutionForecast", "Forecast", "Machines", "forecast", "suggest_speedups"]

GPUS, CORES, DRIVER, START = "the GPUs", "the CPU cores", "the driver", "starting and ending"
ONE_PROCESS = "one process"
"""Limit of a first pass that is too small to be distributed."""
INGEST: tuple[Execution, ...] = ((StageRef("read", "read"),), (StageRef("sort", "sort"),), (StageRef(POSTS, "fetch"),))
"""The executions of `amia ingest`."""
RESERVED = 0.5
"""Share of the cores that Ray Data divides evenly among the stages of an execution; the rest is for whoever asks."""
TEXT_BYTES = 1_000
"""Rough size of a post without its image in the source."""
MAX_PER_SHARD = 65_536
MIN_GAIN = 0.05
"""Changes that shorten the job by a smaller share are not suggested."""
MULTITHREADED_POOLS = {"embed"}
"""Pools whose actors load posts on all their cores. Actors of the other pools load in one thread."""


@dataclass(frozen=True, slots=True)
class Machines:
    """Resources of the cluster."""

    gpus: int
    cores: int


@dataclass(frozen=True, slots=True)
class ExecutionForecast:
    """Time of one execution: stages that run side by side until their last shard is published."""

    stages: tuple[str, ...]
    posts: int
    begin_s: float
    """Seconds until the first actors work, and from the last shard to the end."""
    bounds: dict[str, float]
    """Seconds that each limit alone would take."""
    tail_s: float
    """Seconds of one lease of the stages that others wait for."""

    @property
    def limit(self) -> str:
        """Name of what limits the execution."""
        limit = max(self.bounds, key=self.bounds.__getitem__)
        return limit if self.bounds[limit] > self.begin_s + self.tail_s else START

    @property
    def seconds(self) -> float:
        """Seconds from start to end."""
        return self.begin_s + max(self.bounds.values()) + self.tail_s


@dataclass(frozen=True, slots=True)
class Forecast:
    """Time and resources of `amia ingest` and `amia augment` together."""

    posts: int
    machines: Machines
    executions: tuple[ExecutionForecast, ...]
    between_s: float
    """Seconds outside of executions: starting the commands."""
    ingest_s: float
    """Seconds of `amia ingest`, which needs no GPU."""
    gpu_s: float
    """Seconds in which GPUs work."""
    cpu_s: float
    """Seconds in which cores work."""
    bytes: dict[str, float]
    """Published bytes, by folder."""

    @property
    def bytes_kept(self) -> dict[str, float]:
        """Bytes that stay at the end, by value of `synthesized.keep`."""
        always = sum(self.bytes.values())
        return {"always": always, "until_mixed": always - self.bytes.get(SYNTHESIZED, 0.0)}

    @property
    def seconds(self) -> float:
        """Seconds from the first command to the end of the last."""
        return self.between_s + sum(execution.seconds for execution in self.executions)

    @property
    def gpu_hours(self) -> float:
        """Hours that are paid: all GPUs from start to end, working or waiting."""
        return self.machines.gpus * self.seconds / 3600

    @property
    def limit(self) -> str:
        """Name of what limits most of the time."""
        seconds: dict[str, float] = {}
        for execution in self.executions:
            seconds[execution.limit] = seconds.get(execution.limit, 0.0) + execution.seconds
        return max(seconds, key=seconds.__getitem__)


def forecast(posts: int, rates: Rates, machines: Machines, settings: Settings, arms: Sequence[str]) -> Forecast:
    """Predict the job on `posts` posts, each with an image, in an empty run. Posts without an image take less.

    Raises SettingsError if there are no posts or no machines, or for an unknown arm.
    """
    if posts < 1:
        raise SettingsError(f"{posts} posts: there is nothing to plan")
    if machines.cores < 1 or (rates.gpu is not None and machines.gpus < 1):
        raise SettingsError(f"{machines.gpus} GPUs and {machines.cores} cores: at least one of each is needed")
    rates = rates.at(settings.image.size)
    bank = min(posts, math.ceil(settings.triplet.bank / settings.per_shard) * settings.per_shard)
    parts: dict[Part, int] = {"all": posts, "bank": bank, "rest": posts - bank}
    plan = execution_plan(arms, has_images=True, bank_share=bank / posts)
    planned: list[Execution] = [*INGEST, *plan.executions]
    executions = tuple(_forecast_execution(stages, parts, rates, machines, settings) for stages in planned)
    posts_by_folder: Counter[str] = Counter()
    for stage in (stage for stages in planned for stage in stages):
        posts_by_folder[stage.folder] += parts[stage.part]
    costs = {folder: _rate(rates, folder) for folder in posts_by_folder}
    return Forecast(
        posts,
        machines,
        executions,
        2 * rates.command_s,
        sum(execution.seconds for execution in executions[: len(INGEST)]) + rates.command_s,
        sum(costs[folder].gpu_s * count for folder, count in posts_by_folder.items()),
        sum(costs[folder].cpu_s * count for folder, count in posts_by_folder.items()),
        {folder: costs[folder].bytes * count for folder, count in posts_by_folder.items() if folder not in FIRST_PASS},
    )


def suggest_speedups(
    original: Forecast, rates: Rates, settings: Settings, arms: Sequence[str]
) -> list[tuple[str, float]]:
    """Return changes that shorten the job, the best first, each with the seconds that the job then takes.

    More machines are combined with larger pools, and only suggested if they save more than the larger pools alone.
    """
    machines, pools = original.machines, settings.pools
    larger_pools = {name: pool.model_copy(update={"max": 2 * pool.max}) for name, pool in pools}
    with_larger_pools = settings.model_copy(update={"pools": type(pools)(**larger_pools)})

    def seconds(machines: Machines, settings: Settings) -> float:
        return forecast(original.posts, rates, machines, settings, arms).seconds

    pools_s = seconds(machines, with_larger_pools)
    # Each change with the seconds after it, and the seconds that it must beat.
    changes = [("twice as much in every pools.*.max", pools_s, original.seconds)]
    if machines.gpus:
        more_gpus = Machines(2 * machines.gpus, machines.cores)
        changes.append(
            ("twice as many GPUs, and pools.*.max with them", seconds(more_gpus, with_larger_pools), pools_s)
        )
    more_cores = Machines(machines.gpus, 2 * machines.cores)
    changes.append(
        ("twice as many CPU cores, and pools.*.max with them", seconds(more_cores, with_larger_pools), pools_s)
    )
    if 2 * settings.per_shard <= MAX_PER_SHARD:
        larger_shards = settings.model_copy(update={"per_shard": 2 * settings.per_shard})
        changes.append(
            ("twice as many posts in a shard (per_shard)", seconds(machines, larger_shards), original.seconds)
        )
    if machines.gpus:
        for name in sorted(MULTITHREADED_POOLS):
            pool: Pool = getattr(pools, name)
            more_threads = pools.model_copy(update={name: pool.model_copy(update={"cpus": 2 * pool.cpus})})
            after_s = seconds(machines, settings.model_copy(update={"pools": more_threads}))
            changes.append(
                (f"twice as many cores for each of its actors (pools.{name}.cpus)", after_s, original.seconds)
            )
        best_s = min(after_s for _, after_s, _ in changes)
        doubled = Machines(2 * machines.gpus, 2 * machines.cores)
        changes.append(("twice as many of all three", seconds(doubled, with_larger_pools), best_s))
    helpful = [
        (change, after_s)
        for change, after_s, before_s in changes
        if after_s < (1 - MIN_GAIN) * min(before_s, original.seconds)
    ]
    return sorted(helpful, key=lambda change: change[1])


def _forecast_execution(
    stages: Execution, parts: dict[Part, int], rates: Rates, machines: Machines, settings: Settings
) -> ExecutionForecast:
    pools: dict[str, list[tuple[StageRate, int]]] = {}
    for stage in stages:  # several arms are mixed by the same actors
        pools.setdefault(stage.pool, []).append((_rate(rates, stage.folder), parts[stage.part]))
    costs = [cost for pool_costs in pools.values() for cost in pool_costs]
    folders = tuple(stage.folder for stage in stages)
    per_shard = _posts_per_shard(folders[0], rates, settings)
    cpu_s = sum(rate.cpu_s * posts for rate, posts in costs)
    if folders[0] in FIRST_PASS and costs[0][1] <= per_shard:
        return ExecutionForecast(folders, costs[0][1], 0.0, {ONE_PROCESS: cpu_s}, 0.0)
    bounds = {
        CORES: cpu_s / (machines.cores * rates.efficiency),
        DRIVER: sum(math.ceil(pool_costs[0][1] / per_shard) for pool_costs in pools.values()) * rates.shard_s,
    }
    if machines.gpus:
        bounds[GPUS] = sum(rate.gpu_s * posts for rate, posts in costs) / machines.gpus
    free, lease = machines, 0
    lease_seconds: list[float] = []
    for number, (name, pool_costs) in enumerate(pools.items()):
        pool: Pool = getattr(settings.pools, name)
        others: list[Pool] = [getattr(settings.pools, other) for other in list(pools)[number + 1 :]]
        reserved = sum(min(RESERVED / len(pools) * machines.cores, other.max * other.cpus) for other in others)
        actors, limit = _count_actors(name, pool, Machines(free.gpus, max(0, math.floor(free.cores - reserved))))
        free = Machines(free.gpus, free.cores - math.floor(actors * pool.cpus))
        posts = pool_costs[0][1]
        shards = math.ceil(posts / per_shard)
        # The first stage's pool sets the length of the leases for both stages.
        lease = lease or max(1, min(pool.lease, shards // (2 * actors)))
        multithreaded = name in MULTITHREADED_POOLS
        loaders = pool.decoders if multithreaded else 1
        lease_seconds.append(min(lease * per_shard, posts) * sum(rate.pace(loaders) for rate, _ in pool_costs))
        if limit == GPUS and multithreaded and any(rate.pace(loaders) > rate.gpu_s for rate, _ in pool_costs):
            limit = f"pools.{name}.cpus={pool.cpus:g}"  # the GPU waits for its cores
        bounds[limit] = max(bounds.get(limit, 0.0), math.ceil(shards / lease / actors) * lease_seconds[-1])
    # Either the second stage waits for the first lease of the first, or the end for the last lease of the second.
    tail_s = sum(lease_seconds) - max(lease_seconds)
    return ExecutionForecast(folders, max(parts[stage.part] for stage in stages), rates.execution_s, bounds, tail_s)


def _posts_per_shard(folder: str, rates: Rates, settings: Settings) -> float:
    """Return the posts of a shard; of the first pass, those of a split or a bucket of a source with images inside."""
    if folder == "read":
        return max(1.0, settings.split_mb * 1e6 / max(rates.stages[POSTS].bytes, TEXT_BYTES))
    return settings.bucket_mb * 1e6 / TEXT_BYTES if folder == "sort" else settings.per_shard


def _rate(rates: Rates, folder: str) -> StageRate:
    """Return the rate of a folder: `augmented` for `augmented/adaptive`."""
    return rates.synthesized_scores if folder == SYNTHESIZED_SCORES else rates.stages[folder.partition("/")[0]]


def _count_actors(name: str, pool: Pool, free: Machines) -> tuple[int, str]:
    """Return the number of actors of a pool, and the name of its limit. Without GPUs, `gpus` is ignored."""
    limits: dict[str, int] = {}
    if pool.gpus and free.gpus:
        limits[GPUS] = math.floor(free.gpus / pool.gpus)
    if pool.cpus:
        limits[CORES] = math.floor(free.cores / pool.cpus)
    limits[f"pools.{name}.max={pool.max}"] = pool.max
    limit = min(limits, key=limits.__getitem__)
    return max(1, limits[limit]), limit
