"""Object stores: how they are opened, how long they are asked again, and what they say when they fail.

Servers that are overloaded (503, SlowDown) and connections that drop are asked again with exponential backoff and
jitter, a bounded number of times for a bounded time; then the job ends, and what is published stays.
"""

import importlib.util
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import ObjectStore, from_url

from amia.errors import StoreError

if TYPE_CHECKING:
    from obstore.store import RetryConfig

__all__ = ["RETRY", "check_address", "error_hint", "error_summary", "is_retryable", "open_remote"]

RETRY: "RetryConfig" = {
    "max_retries": 10,
    "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=15), "base": 2},
    "retry_timeout": timedelta(minutes=3),
}
"""Ten more times within three minutes: S3 splits a busy prefix in about that time."""
TIMEOUT = "300s"
"""Of one request, a shard of images over a slow line included; obstore's own is 30 s."""
CONNECT_TIMEOUT = "10s"

ALLOW_HTTP = {"s3": "AWS_ALLOW_HTTP", "gs": "GOOGLE_ALLOW_HTTP"}
"""Options given by hand shadow those of the environment, so this one is handed on."""
NATIVE = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
"""Where obstore finds credentials of AWS by itself; profiles and single sign-on it leaves to boto3."""


def check_address(address: str) -> None:
    """Raises StoreError for an address with credentials in it: it is written into logs, manifests and reports."""
    parts = urlsplit(address)
    if parts.password is not None or parts.query or parts.fragment:
        raise StoreError(
            f"{parts.scheme}://{parts.hostname}{parts.path} was given with a password or query: a run's address is "
            "written down in many places, so credentials come by the provider's usual chain (environment, profile, "
            "role) and never in it"
        )


def open_remote(address: str) -> ObjectStore:
    """An object store by its URL, with credentials by the usual chain of its provider. Asks for nothing yet."""
    scheme = urlsplit(address).scheme
    allow = os.environ.get(ALLOW_HTTP.get(scheme, "AZURE_ALLOW_HTTP"), "")
    options: Any = {"timeout": TIMEOUT, "connect_timeout": CONNECT_TIMEOUT, "allow_http": allow.lower() == "true"}
    if scheme in {"s3", "s3a"} and (provider := _of_profile()) is not None:
        return from_url(address, client_options=options, retry_config=RETRY, credential_provider=provider)
    return from_url(address, client_options=options, retry_config=RETRY)


def is_retryable(error: Exception) -> bool:
    """Whether a request broke off in a way that obstore, which does not know that ours may be repeated, gives up on."""
    return "kind: Interrupted" in str(error) or "kind: Timeout" in str(error)


def error_summary(error: Exception) -> str:
    """The storage's own words in one line, without what it echoes of the request."""
    text = str(error).strip()
    first = text.splitlines()[0] if text else type(error).__name__
    words = [found.group(1) for tag in ("Code", "Message") if (found := re.search(rf"<{tag}>(.*?)</{tag}>", text))]
    # Servers quote access keys and signatures in the rest of their XML; obstore adds its Rust structures.
    line = re.split(r"<(?:\?xml|!doctype|html|error)\b", first, maxsplit=1, flags=re.IGNORECASE)[0]
    return ": ".join([line.strip().removesuffix(":"), *words])


def error_hint(error: Exception) -> str:
    """The rest of the message: what the person can do about it."""
    text = str(error)
    if "No space left" in text or "StorageFull" in text:
        return ". The disk is full: make room and start the same command again; what is published stays"
    if "(os error 13)" in text or "(os error 30)" in text:
        return ". Give a --run where this user may write"
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or re.search(r"ExpiredToken|40[13] [FU]", text):
        return (
            ". Check the credentials that this machine finds (environment, profile, role), that they have not run out, "
            "and what they may do there; then start the same command again, what is published stays"
        )
    if isinstance(error, BaseError) and re.search(r"status code: 5\d\d|HTTP error|response body", text):
        return ". It is overloaded or away: start the same command again when it answers; what is published stays"
    return ""


def _of_profile() -> Any:
    """Credentials by boto3's chain, where the environment holds none; None: obstore's own chain."""
    if any(os.environ.get(name) for name in NATIVE):
        return None
    if importlib.util.find_spec("boto3") is None:
        shared = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")
        if os.environ.get("AWS_PROFILE") or shared.is_file():
            raise StoreError("credentials of AWS stand in a profile, which takes boto3 to read: pip install boto3")
        return None
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        return Boto3CredentialProvider()
    except ValueError:
        raise StoreError(
            "no credentials of AWS found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or run where a "
            "role is attached"
        ) from None
