"""What went wrong on the way to a service, as errors of our tree.

HTTP responses, exceptions of Google's own libraries, connections that broke.
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, NoReturn

import requests
from google.api_core import exceptions as google_exceptions
from google.auth import exceptions as auth_exceptions

from batchkit import jsonl
from batchkit.errors import (
    BatchkitError,
    CredentialsError,
    InvalidRequestError,
    NotAuthorisedError,
    NotFoundError,
    RateLimitedError,
    ServiceError,
    ServiceFailureError,
    TooLargeError,
)
from batchkit.reply import said_in
from batchkit.wire import rpc_reason

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

__all__ = [
    "connection_error",
    "credentials_error",
    "google_errors",
    "not_there",
    "raise_alone",
    "service_error",
]

_KINDS: Mapping[int, type[ServiceError]] = {
    400: InvalidRequestError,
    401: NotAuthorisedError,
    403: NotAuthorisedError,
    404: NotFoundError,
    413: TooLargeError,
}
_TRANSIENT = (408, 409, 425)
# What the service says, with status 400, to a key that is wrong or has expired:
# https://ai.google.dev/gemini-api/docs/troubleshooting
_BAD_KEY = "API_KEY_INVALID"
# Of Google Cloud's products: the roles that have what is needed of them here.
_ROLES = {
    "storage": "Storage Object User on the bucket",
    "bigquery": "BigQuery Data Editor on the dataset, and BigQuery Job User on the project",
}
# How the quota of the Files API names itself, of which nothing frees up by waiting:
# https://github.com/googleapis/python-genai/issues/1172
_FILE_STORAGE = ("FileStorageBytes", "file_storage_bytes")
_MAKE_ROOM = (
    "the room for uploaded files is full: `batchkit clean RUN` deletes those of a run that are no "
    "longer needed, and each goes by itself 48 hours after its upload"
)
_CHECK_NAME = "check the name, and the project in it"


def connection_error(error: Exception, operation: str) -> ServiceFailureError:
    """No answer came. The error's own text is left out: it may hold an address that is a secret."""
    kind = type(error).__name__
    return ServiceFailureError(
        0, "CONNECTION", f"no answer from the service ({kind})", (), operation
    )


def service_error(response: requests.Response, operation: str) -> ServiceError:
    """The error that a response is, with what google.rpc.Status says in its body."""
    status = response.status_code
    error = _error_body(response)
    details = [item for item in _listed(error.get("details")) if jsonl.is_object(item)]
    reason = next((d["reason"] for d in details if d.get("reason")), error.get("status"))
    message = str(error.get("message") or response.reason or "no message")
    retry_after = _retry_after(response, details)
    known = (status, str(reason or rpc_reason(status)), message, details, operation)
    return _error_of(*known, retry_after)


def _error_of(  # noqa: PLR0917  # the fields of a ServiceError, in its order
    status: int,
    reason: str,
    message: str,
    details: Sequence[Mapping[str, Any]],
    operation: str,
    retry_after: float | None = None,
) -> ServiceError:
    known = (status, reason, message, tuple(details), operation)
    if status == requests.codes.too_many_requests and _is_of_storage(message, details):
        return TooLargeError(*known, remedy=_MAKE_ROOM)
    if status == requests.codes.too_many_requests:
        return RateLimitedError(*known, retry_after)
    if status in _TRANSIENT or status >= requests.codes.server_error:
        return ServiceFailureError(*known)
    kind = NotAuthorisedError if reason == _BAD_KEY else _KINDS.get(status, ServiceError)
    return kind(*known)


def raise_alone(error: BatchkitError) -> NoReturn:
    """Raise an error that holds nothing of the one before it, not even out of sight.

    What libraries say may name the address of an upload, and some tools show all they can reach.
    """
    try:
        raise error
    finally:
        error.__context__ = None


def _is_of_storage(message: str, details: Sequence[Mapping[str, Any]]) -> bool:
    said = f"{message} {list(details)}"
    return any(name in said for name in _FILE_STORAGE)


@contextlib.contextmanager
def google_errors(operation: str) -> Generator[None]:
    """Errors of Google's own libraries, inside the block, become those of our tree."""
    try:
        yield
    except google_exceptions.GoogleAPICallError as error:
        raise_alone(_of_google(error, operation))
    except google_exceptions.RetryError as error:
        cause = error.cause
        if isinstance(cause, google_exceptions.GoogleAPICallError):
            raise_alone(_of_google(cause, operation))
        raise_alone(connection_error(error, operation))
    except auth_exceptions.GoogleAuthError as error:
        raise_alone(credentials_error(error, operation))
    except (requests.RequestException, ConnectionError) as error:
        raise_alone(connection_error(error, operation))


def not_there(message: str, operation: str) -> NotFoundError:
    """The error that an object, a bucket or a table is not there."""
    return NotFoundError(404, "NOT_FOUND", message, (), operation, remedy=_CHECK_NAME)


def _of_google(error: Any, operation: str) -> ServiceError:
    status = int(error.code or 0)
    # The library puts its own request before the service's words, and its own trouble after them.
    is_http = isinstance(error.response, requests.Response)
    body = _error_body(error.response) if is_http else {}
    message = str(body.get("message") or error.message)
    listed = _listed(body.get("errors")) or error.errors
    said = [dict(item) for item in listed if jsonl.is_object(item)]
    reason = next((str(item["reason"]) for item in said if item.get("reason")), rpc_reason(status))
    found = _error_of(status, reason, message, said, operation)
    found.remedy = _remedy(found, operation.partition(".")[0])
    return found


def _remedy(error: ServiceError, product: str) -> str | None:
    """What to do about a refusal of Google Cloud's; None for what holds for every service."""
    if isinstance(error, NotAuthorisedError) and product in _ROLES:
        return f"have the account given a role, such as {_ROLES[product]}"
    if isinstance(error, NotFoundError):
        return _CHECK_NAME
    return "" if isinstance(error, InvalidRequestError) else None


def credentials_error(error: Exception, operation: str) -> ServiceFailureError | CredentialsError:
    """What google-auth says; its own text is left out where it may hold a reply with secrets."""
    if isinstance(error, auth_exceptions.TransportError):
        return connection_error(error, operation)
    message = (
        f"{operation}: no usable Google Cloud credentials ({type(error).__name__}): run `gcloud "
        "auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
    )
    return CredentialsError(message)


def _error_body(response: requests.Response) -> dict[str, Any]:
    """The `error` object, which some endpoints wrap in a list."""
    try:
        content = jsonl.loads(said_in(response))
    except (ValueError, requests.RequestException):
        return {}
    first = content[0] if jsonl.is_list(content) and content else content
    error = first.get("error") if jsonl.is_object(first) else None
    return error if jsonl.is_object(error) else {}


def _retry_after(response: requests.Response, details: list[dict[str, Any]]) -> float | None:
    """Seconds to wait: RetryInfo's `retryDelay` ("34.4s"), else the Retry-After header."""
    delays = [str(item["retryDelay"]) for item in details if item.get("retryDelay")]
    for text in (*delays, response.headers.get("Retry-After", "")):
        try:
            seconds = float(text.removesuffix("s"))
        except ValueError:
            continue
        if 0 <= seconds < math.inf:
            return seconds
    return None


def _listed(value: Any) -> list[Any]:
    return value if jsonl.is_list(value) else []
