"""S3 that is overloaded, drops connections, or loses or truncates responses.

Requests are retried with bounds, then the job ends with a clear error. Nothing is partially published, and own files
are not mistaken for those of another writer.
"""

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
from amia.utils import object_store
from ray_jobs.jobs.ingest import ingest
from ray_jobs.settings.job import Settings
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store
from tests.helpers.faulty_s3 import FaultyS3, always, faulty_s3, never, once, seeded
from tests.helpers.paths import TWEETS

RETRIES = 3
SHORT_PAUSE = timedelta(milliseconds=5)
TRANSIENT_FAULTS = ("503", "slow_down", "dropped", "lost", "half")


@pytest.fixture
def proxy(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """A proxy between the bucket and everything that starts after it."""
    with faulty_s3(os.environ["AWS_ENDPOINT_URL"]) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


@pytest.fixture
def store(proxy: FaultyS3, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A run behind the proxy, with three retries after short pauses."""
    backoff = {"init_backoff": SHORT_PAUSE, "max_backoff": SHORT_PAUSE, "base": 2}
    monkeypatch.setattr(
        object_store, "RETRY", {"max_retries": RETRIES, "backoff": backoff, "retry_timeout": timedelta(seconds=30)}
    )
    monkeypatch.setattr("amia.utils.store_reader.time.sleep", lambda seconds: None)
    return Store(f"{bucket}/{tmp_path.name}")


@pytest.mark.promise(9)
@pytest.mark.parametrize("fault", TRANSIENT_FAULTS)
def test_transient_faults_are_retried(store: Store, proxy: FaultyS3, fault: str) -> None:
    data = os.urandom(100_000)
    for method, part, request, expected in (
        ("PUT", "/a", lambda: store.create("posts/a", data), True),
        ("GET", "/a", lambda: store.read("posts/a"), data),
        ("GET", "/a", lambda: store.open("posts/a").read(50_000), data[:50_000]),
        ("HEAD", "/a", lambda: store.exists("posts/a"), True),
        ("GET", "list-type", lambda: store.list_sizes("posts"), {"posts/a": 100_000}),
        ("POST", "delete", lambda: store.delete("posts"), None),
    ):
        proxy.schedule = once(fault, method, part)
        assert request() == expected
        assert proxy.faults()[-1] == fault
        proxy.requests.clear()
    proxy.schedule = never
    assert store.list_sizes("") == {}


@pytest.mark.promise(10)
def test_create_with_lost_response_is_ours(store: Store, proxy: FaultyS3) -> None:
    proxy.schedule = once("lost", "PUT")
    assert store.create("posts/a", b"ours")
    assert [fault for method, _, fault in proxy.requests if method == "PUT"] == ["lost", None]
    assert not store.create("posts/a", b"othr"), "equal sizes are not equal content"
    assert not store.create("posts/a", b"other")
    assert store.create("posts/a", b"ours")
    assert store.read("posts/a") == b"ours"


@pytest.mark.promise(10)
def test_lost_create_after_another_writer_is_theirs(store: Store, proxy: FaultyS3) -> None:
    store.create("posts/a", b"theirs")
    proxy.schedule = once("lost", "PUT")
    assert not store.create("posts/a", b"our")
    assert store.read("posts/a") == b"theirs"


@pytest.mark.promise(10)
def test_plan_with_lost_response_is_ours(store: Store, proxy: FaultyS3) -> None:
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
    assert plan.publish(store), "else its scratch would be removed"
    assert not replace(plan, scratch="scratch/other").publish(store)


def test_probe_passes_with_lost_responses(store: Store, proxy: FaultyS3) -> None:
    for times in (1, 2):
        proxy.schedule = once("lost", "PUT", times=times)
        store.probe()
    assert store.list_sizes("") == {}


@pytest.mark.promise(4)
def test_probe_refuses_a_server_without_conditional_writes(store: Store, proxy: FaultyS3) -> None:
    proxy.schedule = always("unconditional", "PUT")
    with pytest.raises(StoreError, match=r"lets a second writer replace a published file.*conditional writes"):
        store.probe()
    assert store.list_sizes("") == {}


@pytest.mark.promise(9)
@pytest.mark.parametrize("fault", ["503", "slow_down", "dropped"])
def test_retries_end_with_a_clear_error(store: Store, proxy: FaultyS3, fault: str) -> None:
    proxy.schedule = always(fault)
    for request, key in (
        (lambda: store.create("posts/a", b"a"), "posts/a"),
        (lambda: store.read("posts/a"), "posts/a"),
        (lambda: store.exists("posts/a"), "posts/a"),
        (lambda: store.list_sizes("posts"), "posts"),
    ):
        proxy.requests.clear()
        with pytest.raises(StoreError) as raised:
            request()
        message = str(raised.value)
        assert len(proxy.requests) == 1 + RETRIES
        assert message.startswith(f"{key} could not be ")
        assert store.address in message
        assert "start the same command again when it responds; published files stay" in message
        assert len(message.splitlines()) == 1
    proxy.schedule = never
    assert store.list_sizes("") == {}, "a file was partially published"


@pytest.mark.promise(11)
@pytest.mark.parametrize(("fault", "code"), [("denied", "AccessDenied"), ("expired", "ExpiredToken")])
def test_refused_credentials_are_reported_and_not_quoted(store: Store, proxy: FaultyS3, fault: str, code: str) -> None:
    proxy.schedule = always(fault)
    with pytest.raises(StoreError) as raised:
        store.create("posts/a", b"a")
    message = str(raised.value)
    assert len(proxy.requests) == 1
    assert code in message
    assert "Check the credentials" in message
    assert "Credential=" not in message
    assert "Signature" not in message


@pytest.mark.promise(9)
def test_pauses_grow_and_are_bounded() -> None:
    """Check the settings of obstore, which draws each pause between the first one and `base` times the previous one."""
    assert 3 <= object_store.RETRY["max_retries"] <= 20
    assert object_store.RETRY["retry_timeout"] <= timedelta(minutes=5), "credentials are not renewed between attempts"
    assert (
        object_store.RETRY["backoff"]["init_backoff"]
        < object_store.RETRY["backoff"]["max_backoff"]
        <= timedelta(seconds=30)
    )
    assert object_store.RETRY["backoff"]["base"] > 1


@pytest.mark.promise(9)
def test_command_exits_with_code_8_and_one_line(
    amia: Callable[..., tuple[int, str, str]], store: Store, proxy: FaultyS3
) -> None:
    proxy.schedule = always("slow_down")
    code, stdout, stderr = amia("ingest", TWEETS, "--run", store.address, "--config", "demo")
    assert (code, stdout) == (8, "")
    assert stderr.startswith("error: probe/")
    assert f"{store.address}: Generic S3 error: " in stderr
    assert "SlowDown: Please reduce your request rate." in stderr
    assert len(stderr.splitlines()) == 1


@pytest.mark.promise(38)
@pytest.mark.parametrize("address", ["s3://key:hush@bucket/run", "az://account/box/run?sig=hush", "gs://b/run#hush"])
def test_address_with_credentials_is_refused(address: str) -> None:
    with pytest.raises(StoreError, match="chain") as raised:
        Store(address)
    assert "hush" not in str(raised.value)


@pytest.mark.promise(38)
def test_profile_credentials_are_not_pickled(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text("[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = hush\n")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StoreError, match="no AWS credentials found"):
        Store(store.address).probe()
    monkeypatch.setenv("AWS_PROFILE", "work")
    profile_store = Store(store.address)
    profile_store.probe()
    assert b"hush" not in pickle.dumps(profile_store)
    assert b"AKIAWORK" not in pickle.dumps(profile_store)


def test_profile_without_boto3_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in object_store.AWS_CREDENTIAL_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StoreError, match="pip install boto3"):
        Store("s3://bucket/run").probe()


@pytest.mark.promise(9)
@pytest.mark.usefixtures("cluster", "in_this_process")  # `test_s3_run.py` has the actors on a faulty S3
def test_job_on_faulty_s3_writes_the_same_bytes(
    amia: Callable[..., tuple[int, str, str]],
    proxy: FaultyS3,
    bucket: str,
    small: Callable[..., Settings],
    tmp_path: Path,
) -> None:
    words = ("--config", "demo", "per_shard=4", "max_failed=1", "--json")
    proxy.schedule = seeded(7, 0.25, *TRANSIENT_FAULTS)
    code, stdout, stderr = amia("ingest", TWEETS, "--run", f"{bucket}/{tmp_path.name}", *words)
    proxy.schedule = never
    assert (code, stderr) == (0, "")
    assert sum(json.loads(stdout)["posts"].values()) == 11
    assert len(proxy.faults()) >= 10
    ingest(str(TWEETS), str(tmp_path / "run"), small("per_shard=4"), quiet=True)
    client = boto3.client("s3")
    keys = [
        entry["Key"] for entry in client.list_objects_v2(Bucket="amia-runs", Prefix=f"{tmp_path.name}/")["Contents"]
    ]
    assert {key.split("/")[1] for key in keys} == {"plan.json", "posts", "facts", "index"}
    for file in (tmp_path / "run" / "posts").iterdir():
        key = f"{tmp_path.name}/posts/{file.name}"
        assert client.get_object(Bucket="amia-runs", Key=key)["Body"].read() == file.read_bytes()
