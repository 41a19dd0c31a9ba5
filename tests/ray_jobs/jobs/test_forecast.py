import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.errors import SettingsError
from ray_jobs.jobs.execution_plan import plan_augment
from ray_jobs.jobs.forecast import Machines, forecast, suggest_speedups
from ray_jobs.settings.job import Pool, Settings, load_settings
from ray_jobs.settings.rates import FOLDERS, Rates, StageRate

Amia = Callable[..., tuple[int, str, str]]
ARMS = ("adaptive", "adaptive-batch", "original")


def rates(gpu: str | None = "h100", **seconds: float) -> Rates:
    stages = {name: StageRate(cpu_s=seconds.get(name, 0.001), bytes=100, source="measured") for name in FOLDERS}
    stages["synthesized"] = stages["synthesized"].model_copy(update={"gpu_s": 0.05 if gpu else 0.0})
    return Rates(
        gpu=gpu,
        size=512,
        stages=stages,
        order_s=seconds.get("order_s", 0.0),
        shard_s=seconds.get("shard_s", 0.0),
        command_s=seconds.get("command_s", 0.0),
        execution_s=seconds.get("execution_s", 0.0),
        efficiency=1.0,
        source="measured",
    )


def settings(**pools: Pool) -> Settings:
    made = load_settings("default", ["per_shard=100"])
    return made.model_copy(update={"pools": made.pools.model_copy(update=pools)})


@pytest.mark.parametrize("arms", [["adaptive"], ["original"], ["synthesized"], list(ARMS), ["adaptive-batch"]])
@pytest.mark.parametrize("words", [["triplet.bank=64", "per_shard=16"], ["triplet.bank=100000"]])
def test_it_runs_what_a_dry_run_says(
    tmp_path: Path, arms: list[str], words: list[str], ingested: Path, small_words: Sequence[str]
) -> None:
    """An execution's stages, against those of a run that is there."""
    own = load_settings("demo", [*small_words, *(word for word in words if not word.startswith("per_shard"))])
    steps = plan_augment(str(ingested), own, arms, accept_mixture=True)
    expected: dict[int, list[str]] = {}
    for step in steps:
        expected.setdefault(step.execution, []).append(step.stage)
    posts = sum(step.posts for step in steps if step.stage == steps[-1].stage)
    made = forecast(posts, rates(), Machines(1, 2), own, arms)
    assert [list(each.stages) for each in made.executions[1:]] == list(expected.values())


def test_one_stage_by_hand() -> None:
    """1,000 posts in 10 shards, one a lease, two actors: 5 leases each, of 100 posts of 10 ms."""
    own = settings(fetch=Pool(max=2, cpus=0.1, lease=1))
    made = forecast(1000, rates(posts=0.01, execution_s=3.0), Machines(1, 100), own, ["adaptive"])
    fetch = made.executions[0]
    assert fetch.stages == ("posts",)
    assert fetch.bounds["pools.fetch.max=2"] == pytest.approx(5 * 100 * 0.01)
    assert fetch.seconds == pytest.approx(3 + 5 * 100 * 0.01)
    assert fetch.limit == "pools.fetch.max=2"


def test_two_stages_wait_for_each_others_lease() -> None:
    own = settings(synthesize=Pool(max=4, gpus=1, cpus=1, lease=1), mix=Pool(max=4, cpus=1, lease=1))
    made = forecast(4000, rates(augmented=0.01), Machines(4, 100), own, ["adaptive"])
    last = made.executions[-1]
    assert last.stages == ("synthesized", "augmented/adaptive")
    assert last.bounds["the GPUs"] == pytest.approx(10 * 100 * 0.05)
    assert last.tail_s == pytest.approx(100 * 0.01)
    assert made.limit == "the GPUs"


def test_embedding_waits_for_what_its_cores_decode() -> None:
    """1,000,000 posts on one GPU of 1 ms a post, whose cores take 12 ms of each."""
    kind = rates(embeddings=0.012)
    kind.stages["embeddings"] = kind.stages["embeddings"].model_copy(update={"gpu_s": 0.001})
    limits = {}
    for cpus in (1, 4, 12, 24):
        own = settings(embed=Pool(max=64, gpus=1, cpus=cpus, lease=1))
        embed = forecast(1_000_000, kind, Machines(1, 64), own, ["adaptive"]).executions[2]
        assert embed.stages == ("embeddings", "scores")
        limits[embed.limit] = embed.bounds[embed.limit]
    assert limits == {
        "pools.embed.cpus=1": pytest.approx(embed.posts * 0.012, rel=0.02),
        "pools.embed.cpus=4": pytest.approx(embed.posts * 0.003, rel=0.02),
        "the GPUs": pytest.approx(embed.posts * 0.001, rel=0.02),
    }


def test_more_cores_for_an_actor_help_where_its_gpu_waits() -> None:
    kind = rates(embeddings=0.1)
    kind.stages["embeddings"] = kind.stages["embeddings"].model_copy(update={"gpu_s": 0.001})
    own = settings(embed=Pool(max=64, gpus=1, cpus=1))
    made = forecast(100_000, kind, Machines(4, 64), own, ["original"])
    helps = dict(suggest_speedups(made, kind, own, ["original"]))
    assert made.limit == "pools.embed.cpus=1"
    assert helps["twice as many cores for each of its actors (pools.embed.cpus)"] < 0.6 * made.seconds


def test_sums() -> None:
    made = forecast(10_000, rates(order_s=0.001, command_s=7.0), Machines(8, 64), settings(), ["adaptive", "original"])
    assert made.gpu_s == pytest.approx(10_000 * 0.05)
    assert made.cpu_s == pytest.approx(10_000 * 0.001 * 6)  # five stages, and one arm more
    assert made.bytes.keys() == {
        "posts",
        "embeddings",
        "scores",
        "synthesized",
        "augmented/adaptive",
        "augmented/original",
    }
    assert set(made.bytes.values()) == {10_000 * 100}
    assert made.seconds == pytest.approx(2 * 7 + 10 + sum(each.seconds for each in made.executions))
    assert made.gpu_hours == pytest.approx(8 * made.seconds / 3600)


@given(
    posts=st.integers(1, 10**9),
    gpus=st.integers(1, 500),
    cores=st.integers(1, 5000),
    more=st.integers(1, 8),
)
def test_more_machines_never_take_longer_at_length(posts: int, gpus: int, cores: int, more: int) -> None:
    """Beyond a lease: a few leases may fall more evenly on fewer actors."""
    own, kind = load_settings("default"), rates()
    few = forecast(posts, kind, Machines(gpus, cores), own, ["adaptive"])
    many = forecast(posts, kind, Machines(gpus * more, cores * more), own, ["adaptive"])
    lease = max(pool.lease for _, pool in own.pools) * own.per_shard * 0.05
    assert many.seconds <= few.seconds + len(few.executions) * lease
    assert few.seconds >= max(few.gpu_s / gpus, few.cpu_s / cores) * (1 - 1e-9)


def test_ten_times_the_posts_are_ten_times_the_time_at_length() -> None:
    own, kind = load_settings("default"), rates()
    small, large = (forecast(n, kind, Machines(8, 256), own, ["adaptive"]) for n in (10**7, 10**8))
    assert large.seconds / small.seconds == pytest.approx(10, rel=0.02)


def test_what_would_help_helps() -> None:
    own, kind = settings(fetch=Pool(max=1, cpus=1)), rates(posts=0.1)
    made = forecast(100_000, kind, Machines(4, 64), own, ["adaptive"])
    helps = dict(suggest_speedups(made, kind, own, ["adaptive"]))
    assert made.limit == "pools.fetch.max=1"
    assert helps["twice as much in every pools.*.max"] < 0.6 * made.seconds
    wider = settings(fetch=Pool(max=2, cpus=1))
    assert forecast(100_000, kind, Machines(4, 64), wider, ["adaptive"]).seconds < 0.6 * made.seconds


def test_nothing_to_plan() -> None:
    for posts, machines in ((0, Machines(1, 1)), (10, Machines(0, 1)), (10, Machines(1, 0))):
        with pytest.raises(SettingsError):
            forecast(posts, rates(), machines, settings(), ["adaptive"])
    with pytest.raises(SettingsError, match="adaptiv"):
        forecast(10, rates(), Machines(1, 1), settings(), ["adaptiv"])


def test_a_hundred_million_on_the_command_line(amia: Amia) -> None:
    code, out, err = amia("plan", "--posts", "100M", "--gpu", "h100", "--count", 64, "--price", 2.5)
    assert (code, err) == (0, "")
    assert out.startswith("100,000,000 posts, each with an image, on 64 x h100, 1,536 CPU cores")
    for part in ("GPU-hours", "Cost: ", "Most of the time is limited by", "published", "derived", "measured"):
        assert part in out


def test_as_json(amia: Amia) -> None:
    code, out, _ = amia("plan", "--posts", "2.5k", "--gpu", "a100", "--cores", 12, "--arm", "original", "--json")
    assert code == 0
    told = json.loads(out)
    assert (told["posts"], told["gpus"], told["cores"], told["cost"]) == (2500, 1, 12, None)
    together = told["between_s"] + sum(each["seconds"] for each in told["executions"])
    assert math.isclose(together, told["seconds"])
    assert [each["stages"] for each in told["executions"]][-1] == ["augmented/original"]


@pytest.mark.parametrize("posts", ["many", "-3", "1e6", "0"])
def test_a_number_of_posts_that_is_none(amia: Amia, posts: str) -> None:
    code, _, err = amia("plan", "--posts", posts, "--gpu", "h100")
    assert code == 2
    assert err.startswith("error: ")
