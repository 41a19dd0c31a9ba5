"""S3 that is overloaded, drops connections, loses answers or breaks off in the middle of one: asked again with bounds,
then a clear end; nothing half published, and nothing taken for another's."""

import json
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import boto3
import pytest

from amia.errors import StoreError
from ray_jobs.jobs.ingest import ingest
from ray_jobs.settings.job import Settings
from ray_jobs.storage import object_store as remote
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store
from tests.helpers.drivers import finish, start
from tests.helpers.faulty_s3 import FaultyS3, always, faulty_s3, never, once, seeded
from tests.helpers.paths import TWEETS

RETRIES = 3
SHORT = timedelta(milliseconds=5)
PASSING = ("503", "slow_down", "dropped", "lost", "half")


@pytest.fixture
def proxy(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """Stands between whatever is started now and the bucket."""
    with faulty_s3(os.environ["AWS_ENDPOINT_URL"]) as one:
        monkeypatch.setenv("AWS_ENDPOINT_URL", one.endpoint)
        yield one


@pytest.fixture
def store(proxy: FaultyS3, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A run behind the proxy, that is asked again three times with hardly a pause."""
    backoff = {"init_backoff": SHORT, "max_backoff": SHORT, "base": 2}
    monkeypatch.setattr(
        remote, "RETRY", {"max_retries": RETRIES, "backoff": backoff, "retry_timeout": timedelta(seconds=30)}
    )
    monkeypatch.setattr("ray_jobs.storage.store.time.sleep", lambda seconds: None)
    return Store(f"{bucket}/{tmp_path.name}")


@pytest.mark.promise(9)
@pytest.mark.parametrize("fault", PASSING)
def test_whatever_passes_is_asked_again_and_the_right_answer_comes(store: Store, proxy: FaultyS3, fault: str) -> None:
    data = os.urandom(100_000)
    for method, part, request, right in (
        ("PUT", "/a", lambda: store.create("posts/a", data), True),
        ("GET", "/a", lambda: store.read("posts/a"), data),
        ("GET", "/a", lambda: store.open("posts/a").read(50_000), data[:50_000]),
        ("HEAD", "/a", lambda: store.exists("posts/a"), True),
        ("GET", "list-type", lambda: store.list_sizes("posts"), {"posts/a": 100_000}),
        ("POST", "delete", lambda: store.delete("posts"), None),
    ):
        proxy.schedule = once(fault, method, part)
        assert request() == right
        assert proxy.faults()[-1] == fault
        proxy.met.clear()
    proxy.schedule = never
    assert store.list_sizes("") == {}


@pytest.mark.promise(10)
def test_a_create_whose_answer_was_lost_is_ours(store: Store, proxy: FaultyS3) -> None:
    proxy.schedule = once("lost", "PUT")
    assert store.create("posts/a", b"ours")
    assert [fault for method, _, fault in proxy.met if method == "PUT"] == ["lost", None]
    assert not store.create("posts/a", b"othr"), "equal sizes are not equal content"
    assert not store.create("posts/a", b"other")
    assert store.create("posts/a", b"ours")
    assert store.read("posts/a") == b"ours"


@pytest.mark.promise(10)
def test_a_create_that_was_lost_while_another_was_first_is_theirs(store: Store, proxy: FaultyS3) -> None:
    store.create("posts/a", b"theirs")
    proxy.schedule = once("lost", "PUT")
    assert not store.create("posts/a", b"our")
    assert store.read("posts/a") == b"theirs"


@pytest.mark.promise(10)
def test_the_plan_is_ours_when_the_answer_to_its_create_was_lost(store: Store, proxy: FaultyS3) -> None:
    plan = Plan(
        posts={"train": 1},
        per_shard=1,
        seed=0,
        digest="d",
        types=[],
        rejected=0,
        repaired=0,
        labeled=0,
        source={},
        scratch="scratch/mine",
        segments={"train": [1]},
    )
    proxy.schedule = once("lost", "PUT", "plan.json")
    assert plan.publish(store), "its scratch would be removed as the loser's"
    assert not replace(plan, scratch="scratch/other").publish(store)


def test_the_probe_passes_while_answers_are_lost(store: Store, proxy: FaultyS3) -> None:
    for times in (1, 2):
        proxy.schedule = once("lost", "PUT", times=times)
        store.probe()
    assert store.list_sizes("") == {}


@pytest.mark.promise(4)
def test_the_probe_refuses_a_server_that_ignores_the_condition_of_a_create(store: Store, proxy: FaultyS3) -> None:
    proxy.schedule = always("unkept", "PUT")
    with pytest.raises(StoreError, match=r"lets a second writer replace a published file.*conditional writes"):
        store.probe()
    assert store.list_sizes("") == {}


@pytest.mark.promise(9)
@pytest.mark.parametrize("fault", ["503", "slow_down", "dropped"])
def test_asking_again_has_an_end_that_names_key_store_and_cure(store: Store, proxy: FaultyS3, fault: str) -> None:
    proxy.schedule = always(fault)
    for request, key in (
        (lambda: store.create("posts/a", b"a"), "posts/a"),
        (lambda: store.read("posts/a"), "posts/a"),
        (lambda: store.exists("posts/a"), "posts/a"),
        (lambda: store.list_sizes("posts"), "posts"),
    ):
        proxy.met.clear()
        with pytest.raises(StoreError) as raised:
            request()
        said = str(raised.value)
        assert len(proxy.met) == 1 + RETRIES
        assert said.startswith(f"{key} could not be ")
        assert store.address in said
        assert "start the same command again when it answers; what is published stays" in said
        assert len(said.splitlines()) == 1
    proxy.schedule = never
    assert store.list_sizes("") == {}, "half published"


@pytest.mark.promise(11)
@pytest.mark.parametrize(("fault", "code"), [("denied", "AccessDenied"), ("expired", "ExpiredToken")])
def test_credentials_that_do_not_do_are_said_at_once_and_not_quoted(
    store: Store, proxy: FaultyS3, fault: str, code: str
) -> None:
    proxy.schedule = always(fault)
    with pytest.raises(StoreError) as raised:
        store.create("posts/a", b"a")
    said = str(raised.value)
    assert len(proxy.met) == 1
    assert code in said
    assert "Check the credentials" in said
    assert "Credential=" not in said
    assert "Signature" not in said


@pytest.mark.promise(9)
def test_pauses_grow_with_jitter_and_have_bounds() -> None:
    """What obstore is told; it draws each pause at random between the first and `base` times the last."""
    assert 3 <= remote.RETRY["max_retries"] <= 20
    assert remote.RETRY["retry_timeout"] <= timedelta(minutes=5), "credentials are not renewed between attempts"
    assert remote.RETRY["backoff"]["init_backoff"] < remote.RETRY["backoff"]["max_backoff"] <= timedelta(seconds=30)
    assert remote.RETRY["backoff"]["base"] > 1


@pytest.mark.promise(9)
def test_a_command_ends_with_code_8_and_one_line(
    amia: Callable[..., tuple[int, str, str]], store: Store, proxy: FaultyS3
) -> None:
    proxy.schedule = always("slow_down")
    code, said, complained = amia("ingest", TWEETS, "--run", store.address, "--config", "demo")
    assert (code, said) == (8, "")
    assert complained.startswith("error: probe/")
    assert f"{store.address}: Generic S3 error: " in complained
    assert "SlowDown: Please reduce your request rate." in complained
    assert len(complained.splitlines()) == 1


@pytest.mark.promise(38)
@pytest.mark.parametrize("address", ["s3://key:hush@bucket/run", "az://account/box/run?sig=hush", "gs://b/run#hush"])
def test_an_address_with_credentials_is_refused_without_repeating_them(address: str) -> None:
    with pytest.raises(StoreError, match="chain") as raised:
        Store(address)
    assert "hush" not in str(raised.value)


@pytest.mark.promise(38)
def test_credentials_of_a_profile_are_found_and_do_not_travel(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "credentials"
    shared.write_text("[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = hush\n")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StoreError, match="no credentials of AWS found"):
        Store(store.address).probe()
    monkeypatch.setenv("AWS_PROFILE", "work")
    found = Store(store.address)
    found.probe()
    assert b"hush" not in pickle.dumps(found)
    assert b"AKIAWORK" not in pickle.dumps(found)


def test_a_profile_without_boto3_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in remote.NATIVE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StoreError, match="pip install boto3"):
        Store("s3://bucket/run").probe()


@pytest.mark.promise(9)
def test_a_job_on_an_s3_that_fails_now_and_then_writes_the_same_bytes(
    cluster: None, proxy: FaultyS3, bucket: str, small: Callable[..., Settings], tmp_path: Path
) -> None:
    words = ("--config", "demo", "per_shard=4", "max_failed=1", "pools.fetch.max=2", "--json")
    proxy.schedule = seeded(7, 0.15, *PASSING)
    code, said, complained = finish(start("ingest", str(TWEETS), "--run", f"{bucket}/{tmp_path.name}", *words))
    proxy.schedule = never
    assert (code, complained) == (0, "")
    assert sum(json.loads(said)["posts"].values()) == 11
    assert len(proxy.faults()) >= 10
    ingest(str(TWEETS), str(tmp_path / "run"), small("per_shard=4"), quiet=True)
    client = boto3.client("s3")
    there = [each["Key"] for each in client.list_objects_v2(Bucket="amia-runs", Prefix=f"{tmp_path.name}/")["Contents"]]
    assert {key.split("/")[1] for key in there} == {"plan.json", "posts", "log"}
    for file in (tmp_path / "run" / "posts").iterdir():
        key = f"{tmp_path.name}/posts/{file.name}"
        assert client.get_object(Bucket="amia-runs", Key=key)["Body"].read() == file.read_bytes()
