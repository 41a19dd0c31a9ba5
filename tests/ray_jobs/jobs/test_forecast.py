"""`amia plan`: durations against hand calculations and properties, and the command's output."""

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
from ray_jobs.settings.job import FetchPool, Pool, Settings, load_settings
from ray_jobs.settings.rates import FIRST_PASS, FOLDERS, Rates, StageRate

Amia = Callable[..., tuple[int, str, str]]


def make_rates(gpu: str | None = "h100", **seconds: float) -> Rates:
    """Return rates of 1 ms of a core per post and stage, 50 ms of a GPU for synthesis, and the `seconds` given."""
    stages = {name: StageRate(cpu_s=seconds.get(name, 0.001), bytes=100, source="measured") for name in FOLDERS}
    for name in FIRST_PASS:
        stages[name] = StageRate(cpu_s=seconds.get(name, 0.0), source="measured")
    stages["synthesized"] = stages["synthesized"].model_copy(update={"gpu_s": 0.05 if gpu else 0.0})
    return Rates(
        gpu=gpu,
        size=512,
        stages=stages,
        shard_s=seconds.get("shard_s", 0.0),
        command_s=seconds.get("command_s", 0.0),
        execution_s=seconds.get("execution_s", 0.0),
        efficiency=1.0,
        source="measured",
    )


def make_settings(**pools: Pool) -> Settings:
    settings = load_settings("default", ["per_shard=100"])
    return settings.model_copy(update={"pools": settings.pools.model_copy(update=pools)})


@pytest.mark.parametrize(
    "arms",
    [
        ["adaptive"],
        ["original"],
        ["synthesized"],
        ["adaptive", "cosine", "original"],
        ["text"],
        ["two-sided", "original"],
    ],
)
@pytest.mark.parametrize("overrides", [["triplet.bank=64"], ["triplet.bank=100000"]])
def test_executions_equal_those_of_a_dry_run(
    arms: list[str], overrides: list[str], ingested: Path, small_words: Sequence[str]
) -> None:
    settings = load_settings("demo", [*small_words, *overrides])
    planned = plan_augment(str(ingested), settings, arms, accept_mixture=True)
    expected: dict[int, list[str]] = {}
    for stage in planned:
        expected.setdefault(stage.execution, []).append(stage.stage)
    posts = sum(stage.posts for stage in planned if stage.stage == planned[-1].stage)
    executions = forecast(posts, make_rates(), Machines(1, 2), settings, arms).executions
    assert [list(execution.stages) for execution in executions[3:]] == list(expected.values())


def test_duration_of_one_stage() -> None:
    """1,000 posts in 10 shards, one per lease, and two actors: 5 leases each, of 100 posts of 10 ms."""
    settings = make_settings(fetch=FetchPool(max=2, cpus=0.1, lease=1))
    rates = make_rates(posts=0.01, execution_s=3.0)
    fetch = forecast(1000, rates, Machines(1, 100), settings, ["adaptive"]).executions[2]
    assert fetch.stages == ("posts",)
    assert fetch.bounds["pools.fetch.max=2"] == pytest.approx(5 * 100 * 0.01)
    assert fetch.seconds == pytest.approx(3 + 5 * 100 * 0.01)
    assert fetch.limit == "pools.fetch.max=2"


def test_first_pass_runs_on_all_cores() -> None:
    """1,000,000 posts of 1 kB in 100 splits of 10 MB and 10 buckets of 100 MB, on 10 cores."""
    settings = make_settings(read=Pool(max=256, lease=1), sort=Pool(max=64, lease=1))
    settings = settings.model_copy(update={"split_mb": 10, "bucket_mb": 100})
    rates = make_rates(read=0.002, sort=0.001, execution_s=3.0)
    read, sort = forecast(1_000_000, rates, Machines(1, 10), settings, ["adaptive"]).executions[:2]
    assert (read.stages, sort.stages) == (("read",), ("sort",))
    assert read.seconds == pytest.approx(3 + 1_000_000 * 0.002 / 10)
    assert sort.seconds == pytest.approx(3 + 1_000_000 * 0.001 / 10)
    small = forecast(10_000, rates, Machines(1, 10), settings, ["adaptive"]).executions[:2]
    assert [execution.limit for execution in small] == ["one process"] * 2
    assert [execution.seconds for execution in small] == pytest.approx([20, 10])  # no actors start


def test_scoring_synthesized_images_costs_as_much_as_embedding_and_scoring() -> None:
    settings = make_settings(embed=Pool(max=8, gpus=1, cpus=2))
    rates = make_rates(embeddings=0.006, scores=0.002)
    rates.stages["embeddings"] = rates.stages["embeddings"].model_copy(update={"gpu_s": 0.004})
    one_sided, two_sided = (
        forecast(10_000, rates, Machines(2, 64), settings, [arm]) for arm in ("adaptive", "two-sided")
    )
    assert two_sided.gpu_s - one_sided.gpu_s == pytest.approx(10_000 * 0.004)
    assert two_sided.cpu_s - one_sided.cpu_s == pytest.approx(10_000 * 0.008)
    assert two_sided.bytes["synthesized_scores"] == 10_000 * (50 + 100)
    assert [execution.stages for execution in two_sided.executions[-2:]] == [
        ("synthesized",),
        ("synthesized_scores", "augmented/two-sided"),
    ]


def test_second_stage_adds_one_lease() -> None:
    settings = make_settings(synthesize=Pool(max=4, gpus=1, cpus=1, lease=1), mix=Pool(max=4, cpus=1, lease=1))
    job = forecast(4000, make_rates(augmented=0.01), Machines(4, 100), settings, ["adaptive"])
    execution = job.executions[-1]
    assert execution.stages == ("synthesized", "augmented/adaptive")
    assert execution.bounds["the GPUs"] == pytest.approx(10 * 100 * 0.05)
    assert execution.tail_s == pytest.approx(100 * 0.01)
    assert job.limit == "the GPUs"


def test_embedding_is_limited_by_the_cores_that_decode() -> None:
    """1,000,000 posts on one GPU that needs 1 ms per post, and whose cores need 12 ms."""
    rates = make_rates(embeddings=0.012)
    rates.stages["embeddings"] = rates.stages["embeddings"].model_copy(update={"gpu_s": 0.001})
    limits = {}
    for cpus in (1, 4, 12, 24):
        settings = make_settings(embed=Pool(max=64, gpus=1, cpus=cpus, lease=1))
        embed = forecast(1_000_000, rates, Machines(1, 64), settings, ["adaptive"]).executions[4]
        assert embed.stages == ("embeddings", "scores")
        limits[embed.limit] = embed.bounds[embed.limit]
    assert limits == {
        "pools.embed.cpus=1": pytest.approx(embed.posts * 0.012, rel=0.02),
        "pools.embed.cpus=4": pytest.approx(embed.posts * 0.003, rel=0.02),
        "the GPUs": pytest.approx(embed.posts * 0.001, rel=0.02),
    }


def test_suggests_cores_for_a_waiting_gpu() -> None:
    rates = make_rates(embeddings=0.1)
    rates.stages["embeddings"] = rates.stages["embeddings"].model_copy(update={"gpu_s": 0.001})
    settings = make_settings(embed=Pool(max=64, gpus=1, cpus=1))
    job = forecast(100_000, rates, Machines(4, 64), settings, ["original"])
    speedups = dict(suggest_speedups(job, rates, settings, ["original"]))
    assert job.limit == "pools.embed.cpus=1"
    assert speedups["twice as many cores for each of its actors (pools.embed.cpus)"] < 0.6 * job.seconds


def test_totals() -> None:
    rates = make_rates(read=0.001, command_s=7.0)
    job = forecast(10_000, rates, Machines(8, 64), make_settings(), ["adaptive", "original"])
    assert job.gpu_s == pytest.approx(10_000 * 0.05)
    assert job.cpu_s == pytest.approx(10_000 * 0.001 * 7)  # six stages, and a second arm
    assert job.bytes.keys() == {
        "posts",
        "embeddings",
        "scores",
        "synthesized",
        "augmented/adaptive",
        "augmented/original",
    }
    assert set(job.bytes.values()) == {10_000 * 100}
    assert job.seconds == pytest.approx(2 * 7 + sum(execution.seconds for execution in job.executions))
    assert job.gpu_hours == pytest.approx(8 * job.seconds / 3600)


@given(
    posts=st.integers(1, 10**9),
    gpus=st.integers(1, 500),
    cores=st.integers(1, 5000),
    factor=st.integers(1, 8),
)
def test_more_machines_take_no_longer(posts: int, gpus: int, cores: int, factor: int) -> None:
    """Up to one lease per execution: few leases may be distributed more evenly over fewer actors."""
    settings, rates = load_settings("default"), make_rates()
    few = forecast(posts, rates, Machines(gpus, cores), settings, ["adaptive"])
    many = forecast(posts, rates, Machines(gpus * factor, cores * factor), settings, ["adaptive"])
    lease_s = max(pool.lease for _, pool in settings.pools) * settings.per_shard * 0.05
    assert many.seconds <= few.seconds + len(few.executions) * lease_s
    assert few.seconds >= max(few.gpu_s / gpus, few.cpu_s / cores) * (1 - 1e-9)


def test_duration_is_proportional_to_posts() -> None:
    settings, rates = load_settings("default"), make_rates()
    small, large = (forecast(n, rates, Machines(8, 256), settings, ["adaptive"]) for n in (10**7, 10**8))
    assert large.seconds / small.seconds == pytest.approx(10, rel=0.02)


def test_suggested_change_shortens_the_job() -> None:
    settings, rates = make_settings(fetch=FetchPool(max=1, cpus=1)), make_rates(posts=0.1)
    job = forecast(100_000, rates, Machines(4, 64), settings, ["adaptive"])
    speedups = dict(suggest_speedups(job, rates, settings, ["adaptive"]))
    assert job.limit == "pools.fetch.max=1"
    assert speedups["twice as much in every pools.*.max"] < 0.6 * job.seconds
    wider = make_settings(fetch=Pool(max=2, cpus=1))
    assert forecast(100_000, rates, Machines(4, 64), wider, ["adaptive"]).seconds < 0.6 * job.seconds


def test_rejects_empty_jobs_and_unknown_arms() -> None:
    for posts, machines in ((0, Machines(1, 1)), (10, Machines(0, 1)), (10, Machines(1, 0))):
        with pytest.raises(SettingsError):
            forecast(posts, make_rates(), machines, make_settings(), ["adaptive"])
    with pytest.raises(SettingsError, match="adaptiv"):
        forecast(10, make_rates(), Machines(1, 1), make_settings(), ["adaptiv"])


def test_command_for_100_million_posts(amia: Amia) -> None:
    code, out, err = amia("plan", "--posts", "100M", "--gpu", "h100", "--count", 64, "--price", 2.5)
    assert (code, err) == (0, "")
    assert out.startswith("100,000,000 posts, each with an image, on 64 x h100, 1,536 CPU cores")
    for text in ("GPU-hours", "Cost: ", "Most of the time", "limited by", "published", "derived", "measured"):
        assert text in out


def test_command_as_json(amia: Amia) -> None:
    code, out, _ = amia("plan", "--posts", "2.5k", "--gpu", "a100", "--cores", 12, "--arm", "original", "--json")
    assert code == 0
    job = json.loads(out)
    assert (job["posts"], job["gpus"], job["cores"], job["cost"]) == (2500, 1, 12, None)
    total_s = job["between_s"] + sum(execution["seconds"] for execution in job["executions"])
    assert math.isclose(total_s, job["seconds"])
    assert [execution["stages"] for execution in job["executions"]][-1] == ["augmented/original"]


@pytest.mark.parametrize("posts", ["many", "-3", "1e6", "0"])
def test_command_rejects_invalid_number_of_posts(amia: Amia, posts: str) -> None:
    code, _, err = amia("plan", "--posts", posts, "--gpu", "h100")
    assert code == 2
    assert err.startswith("error: ")
