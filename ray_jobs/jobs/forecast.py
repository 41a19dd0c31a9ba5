"""`amia plan`: how long a job will take on machines that may not be there yet, what it will cost, and what limits it.

An execution streams posts through one or two stages. It ends no sooner than the busiest of what they share: the GPUs,
the cores, the actors of a stage, the driver. To that come its start, and at its end the lease with which the last
actors are busy while the others have nothing left.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from amia.errors import SettingsError
from amia.mixing.arms import check_arm, needs_synthesis
from ray_jobs.jobs.score_variants import group_by_variant
from ray_jobs.settings.job import Pool, Settings
from ray_jobs.settings.rates import Rates, StageRate
from ray_jobs.storage.layout import arm_folder

__all__ = ["Execution", "Forecast", "Power", "forecast", "suggest_speedups"]

GPUS, CORES, DRIVER, START = "the GPUs", "the CPU cores", "the driver", "starting and ending"
LARGEST_SHARD = 65_536
GAIN = 0.05
"""Whatever shortens the job by less than this share is not worth saying."""

POOLS = {"posts": "fetch", "embeddings": "embed", "scores": "score", "synthesized": "synthesize", "augmented": "mix"}
"""Who writes a folder."""
LOADS_ON_ALL = {"embed"}
"""Pools whose actors load posts on all their cores; in the others one thread does."""


@dataclass(frozen=True, slots=True)
class Power:
    """What the job may use."""

    gpus: int
    cores: int


@dataclass(frozen=True, slots=True)
class Execution:
    """Stages that run side by side; the next execution begins when their last shard is published."""

    stages: tuple[str, ...]
    posts: int
    begin_s: float
    """Until the first actors work, and from the last shard to the end."""
    bounds: dict[str, float]
    """Seconds that each limit alone would take."""
    tail_s: float
    """Seconds of one lease in the stages that wait for it, or are waited for."""

    @property
    def limit(self) -> str:
        """What it is limited by."""
        found = max(self.bounds, key=self.bounds.__getitem__)
        return found if self.bounds[found] > self.begin_s + self.tail_s else START

    @property
    def seconds(self) -> float:
        """From its start to its end."""
        return self.begin_s + max(self.bounds.values()) + self.tail_s


@dataclass(frozen=True, slots=True)
class Forecast:
    """A whole job, `amia ingest` and `amia augment`."""

    posts: int
    power: Power
    executions: tuple[Execution, ...]
    between_s: float
    """Seconds in no execution: the commands' own, and ingest's first pass."""
    ingest_s: float
    """Seconds of `amia ingest`, which needs no GPU."""
    gpu_s: float
    """Seconds of GPUs at work."""
    cpu_s: float
    """Seconds of cores at work."""
    bytes: dict[str, float]
    """Published, by folder."""

    @property
    def seconds(self) -> float:
        """From the first command to the end of the last."""
        return self.between_s + sum(each.seconds for each in self.executions)

    @property
    def gpu_hours(self) -> float:
        """That are paid: all GPUs from start to end, whether they work or wait."""
        return self.power.gpus * self.seconds / 3600

    @property
    def limit(self) -> str:
        """What most of the time is limited by."""
        parts: dict[str, float] = {}
        for each in self.executions:
            parts[each.limit] = parts.get(each.limit, 0.0) + each.seconds
        return max(parts, key=parts.__getitem__)


def forecast(posts: int, rates: Rates, power: Power, settings: Settings, arms: Sequence[str]) -> Forecast:
    """The job on `posts` posts, every one with an image, into an empty run. Posts without one cost less."""
    if posts < 1:
        raise SettingsError(f"{posts} posts: there is nothing to plan")
    if power.cores < 1 or (rates.gpu is not None and power.gpus < 1):
        raise SettingsError(f"{power.gpus} GPUs and {power.cores} cores: at least one of each that is planned with")
    rates = rates.at(settings.image.size)
    works = _executions(posts, settings, arms)
    executions = tuple(_execution(work, rates, power, settings) for work in works)
    done: Counter[str] = sum(map(Counter, works), Counter())  # posts by stage
    costs = {stage: rates.stages[_rated(stage)] for stage in done}
    return Forecast(
        posts,
        power,
        executions,
        2 * rates.command_s + rates.order_s * posts,
        executions[0].seconds + rates.command_s + rates.order_s * posts,
        sum(costs[stage].gpu_s * some for stage, some in done.items()),
        sum(costs[stage].cpu_s * some for stage, some in done.items()),
        {stage: costs[stage].bytes * some for stage, some in done.items()},
    )


def suggest_speedups(made: Forecast, rates: Rates, settings: Settings, arms: Sequence[str]) -> list[tuple[str, float]]:
    """Changes that would shorten the job, the best first, each with the seconds that it would take then.

    More machines come with room for more actors, and are told only where they save more than that room alone does.
    """
    power, pools = made.power, settings.pools
    roomy = {name: pool.model_copy(update={"max": 2 * pool.max}) for name, pool in pools}
    wide = settings.model_copy(update={"pools": type(pools)(**roomy)})

    def seconds(power: Power, settings: Settings) -> float:
        return forecast(made.posts, rates, power, settings, arms).seconds

    room = seconds(power, wide)
    found = [("twice as much in every pools.*.max", room, made.seconds)]
    if power.gpus:
        found.append(
            ("twice as many GPUs, and pools.*.max with them", seconds(Power(2 * power.gpus, power.cores), wide), room)
        )
    found.append(
        ("twice as many CPU cores, and pools.*.max with them", seconds(Power(power.gpus, 2 * power.cores), wide), room)
    )
    if 2 * settings.per_shard <= LARGEST_SHARD:
        larger = settings.model_copy(update={"per_shard": 2 * settings.per_shard})
        found.append(("twice as many posts in a shard (per_shard)", seconds(power, larger), made.seconds))
    if power.gpus:
        for name in sorted(LOADS_ON_ALL):
            pool: Pool = getattr(pools, name)
            own = pools.model_copy(update={name: pool.model_copy(update={"cpus": 2 * pool.cpus})})
            after = seconds(power, settings.model_copy(update={"pools": own}))
            found.append((f"twice as many cores for each of its actors (pools.{name}.cpus)", after, made.seconds))
        least = min(each for _, each, _ in found)
        found.append(("twice as many of all three", seconds(Power(2 * power.gpus, 2 * power.cores), wide), least))
    helpful = [(what, after) for what, after, before in found if after < (1 - GAIN) * min(before, made.seconds)]
    return sorted(helpful, key=lambda each: each[1])


def _executions(posts: int, settings: Settings, arms: Sequence[str]) -> list[dict[str, int]]:
    """The stages of each execution with their posts, in order: as `amia ingest` and `amia augment` run them."""
    for arm in arms:
        check_arm(arm)
    bank = min(posts, math.ceil(settings.triplet.bank / settings.per_shard) * settings.per_shard)
    found = [{"posts": posts}]
    if 2 * bank >= posts:
        found += [{"embeddings": posts}, {"scores": posts}]
    else:
        found += [{"embeddings": bank}, {"embeddings": posts - bank, "scores": posts}]
    drawn = False
    for asked, group in group_by_variant(arms, settings.triplet):
        if asked.suffix:
            found.append({asked.scores: posts})
        draws = not drawn and any(needs_synthesis(arm) for arm in group)
        drawn = drawn or draws
        found.append(({"synthesized": posts} if draws else {}) | {arm_folder(arm): posts for arm in group})
    return found


def _execution(work: Mapping[str, int], rates: Rates, power: Power, settings: Settings) -> Execution:
    pools: dict[str, list[tuple[StageRate, int]]] = {}
    for stage, posts in work.items():  # several arms are mixed by the same actors
        pools.setdefault(POOLS[_rated(stage)], []).append((rates.stages[_rated(stage)], posts))
    tasks = [each for stages in pools.values() for each in stages]
    bounds = {
        CORES: sum(rate.cpu_s * posts for rate, posts in tasks) / (power.cores * rates.efficiency),
        DRIVER: sum(math.ceil(stages[0][1] / settings.per_shard) for stages in pools.values()) * rates.shard_s,
    }
    if power.gpus:
        bounds[GPUS] = sum(rate.gpu_s * posts for rate, posts in tasks) / power.gpus
    free, length = power, 0
    leases: list[float] = []
    for name, stages in pools.items():
        pool: Pool = getattr(settings.pools, name)
        actors, limit = _actors(name, pool, free)
        free = Power(free.gpus, free.cores - math.floor(actors * pool.cpus))
        posts = stages[0][1]
        shards = math.ceil(posts / settings.per_shard)
        # The first stage's pool cuts the leases for both.
        length = length or max(1, min(pool.lease, shards // (2 * actors)))
        loaders = pool.decoders if name in LOADS_ON_ALL else 1
        leases.append(min(length * settings.per_shard, posts) * sum(rate.pace(loaders) for rate, _ in stages))
        if limit == GPUS and name in LOADS_ON_ALL and any(rate.pace(loaders) > rate.gpu_s for rate, _ in stages):
            limit = f"pools.{name}.cpus={pool.cpus:g}"  # its GPU waits
        bounds[limit] = max(bounds.get(limit, 0.0), math.ceil(shards / length / actors) * leases[-1])
    # The second stage waits for the first lease of the first, or the end for the last lease of the second.
    return Execution(tuple(work), max(work.values()), rates.execution_s, bounds, sum(leases) - max(leases))


def _rated(stage: str) -> str:
    """`augmented/adaptive` -> `augmented`, `scores-batch` -> `scores`."""
    return next(name for name in POOLS if stage.startswith(name))


def _actors(name: str, pool: Pool, free: Power) -> tuple[int, str]:
    """As many as fit and as the pool may have, and what keeps it from more. Without GPUs its `gpus` mean nothing."""
    room: dict[str, int] = {}
    if pool.gpus and free.gpus:
        room[GPUS] = math.floor(free.gpus / pool.gpus)
    if pool.cpus:
        room[CORES] = math.floor(free.cores / pool.cpus)
    room[f"pools.{name}.max={pool.max}"] = pool.max
    limit = min(room, key=room.__getitem__)
    return max(1, room[limit]), limit
