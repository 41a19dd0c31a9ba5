"""Object stores: how they are opened, which requests are retried, and how their errors are reported.

Requests to overloaded servers (503, SlowDown) and over dropped connections are retried with exponential backoff and
jitter, a bounded number of times for a bounded time. After that the job ends, and published files stay.
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
"""Ten retries within three minutes: S3 takes about that long to split a busy prefix."""
TIMEOUT = "300s"
"""Timeout of one request, long enough for a shard of images over a slow connection; obstore's default is 30 s."""
CONNECT_TIMEOUT = "10s"

ALLOW_HTTP_VARIABLES = {"s3": "AWS_ALLOW_HTTP", "gs": "GOOGLE_ALLOW_HTTP"}
"""Explicit client options override those of the environment, so this one is passed on."""
AWS_CREDENTIAL_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
"""Sources of AWS credentials that obstore reads itself; profiles and single sign-on need boto3."""


def check_address(address: str) -> None:
    """Raise StoreError if an address contains credentials: it is written into logs, manifests and reports."""
    parts = urlsplit(address)
    if parts.password is not None or parts.query or parts.fragment:
        raise StoreError(
            f"{parts.scheme}://{parts.hostname}{parts.path} was given with a password or query. An address is "
            "written to many places, so it must not contain credentials: pass them by the usual chain of the "
            "provider (environment, profile, role)"
        )


def open_remote(address: str) -> ObjectStore:
    """Open an object store by its URL with credentials from the usual chain of its provider. Sends no request."""
    scheme = urlsplit(address).scheme
    allow_http = os.environ.get(ALLOW_HTTP_VARIABLES.get(scheme, "AZURE_ALLOW_HTTP"), "").lower() == "true"
    options: Any = {"timeout": TIMEOUT, "connect_timeout": CONNECT_TIMEOUT, "allow_http": allow_http}
    if scheme in {"s3", "s3a"} and (provider := _boto3_credentials()) is not None:
        return from_url(address, client_options=options, retry_config=RETRY, credential_provider=provider)
    return from_url(address, client_options=options, retry_config=RETRY)


def is_retryable(error: Exception) -> bool:
    """Return whether a request broke off in a way that obstore does not retry, as it may be unsafe to repeat."""
    return "kind: Interrupted" in str(error) or "kind: Timeout" in str(error)


def error_summary(error: Exception) -> str:
    """Return the storage's error message in one line, without what it echoes of the request."""
    text = str(error).strip()
    first_line = text.splitlines()[0] if text else type(error).__name__
    details = [match.group(1) for tag in ("Code", "Message") if (match := re.search(rf"<{tag}>(.*?)</{tag}>", text))]
    # Servers quote access keys and signatures in the rest of their XML; obstore appends its Rust structures.
    summary = re.split(r"<(?:\?xml|!doctype|html|error)\b", first_line, maxsplit=1, flags=re.IGNORECASE)[0]
    return ": ".join([summary.strip().removesuffix(":"), *details])


def error_hint(error: Exception) -> str:
    """Return the end of an error message that suggests what to do, or an empty string."""
    text = str(error)
    if "No space left" in text or "StorageFull" in text:
        return ". The disk is full: make room and start the same command again; published files stay"
    if "(os error 13)" in text or "(os error 30)" in text:
        return ". Choose a --run that this user may write to"
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or re.search(r"ExpiredToken|40[13] [FU]", text):
        return (
            ". Check the credentials that this machine finds (environment, profile, role), whether they have expired, "
            "and their permissions; then start the same command again, published files stay"
        )
    if isinstance(error, BaseError) and re.search(r"status code: 5\d\d|HTTP error|response body", text):
        return (
            ". The storage is overloaded or unreachable: start the same command again when it responds; published "
            "files stay"
        )
    return ""


def _boto3_credentials() -> Any:
    """Return a provider with boto3's chain, or None if obstore can use its own chain."""
    if any(os.environ.get(name) for name in AWS_CREDENTIAL_VARIABLES):
        return None
    if importlib.util.find_spec("boto3") is None:
        credentials_file = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")
        if os.environ.get("AWS_PROFILE") or credentials_file.is_file():
            raise StoreError("AWS credentials of a profile can only be read with boto3: pip install boto3")
        return None
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        return Boto3CredentialProvider()
    except ValueError:
        raise StoreError(
            "no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run on a "
            "machine with an attached role"
        ) from None
