"""HTTP to one service: JSON in and out, errors of one tree, retries where a call may repeat."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urljoin, urlsplit

import requests
from google.api_core import retry as api_retry
from google.auth import exceptions as auth_exceptions

from batchkit import jsonl
from batchkit.errors import RateLimitedError, ServiceFailureError
from batchkit.failures import (
    connection_error,
    credentials_error,
    raise_alone,
    service_error,
)
from batchkit.reply import held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Call", "Retries", "Transport"]

T = TypeVar("T")

_MOST_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class Retries:
    """How long a call that can be repeated is repeated: exponential back-off with full jitter.

    A wait that the service asks for (RetryInfo, Retry-After) is kept. Seconds, all of them.
    """

    first_seconds: float = 1.0
    longest_seconds: float = 60.0
    total_seconds: float = 120.0

    def run(self, call: Callable[[], T]) -> T:
        """The result of the call; its last error when the time is over."""
        delays = _Delays(self)
        result = api_retry.retry_target(  # pyright: ignore[reportUnknownMemberType]
            call,
            predicate=_is_transient,
            sleep_generator=delays,
            timeout=self.total_seconds,
            on_error=delays.note,
            exception_factory=_last_error,
        )
        return cast("T", result)


class _Delays:
    """Seconds to sleep before each repetition."""

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._next = retries.first_seconds
        self._asked = 0.0

    def note(self, error: Exception) -> None:
        self._asked = getattr(error, "retry_after", None) or 0.0

    def __iter__(self) -> Iterator[float]:
        return self

    def __next__(self) -> float:
        own = random.uniform(0, self._next)  # noqa: S311  # jitter is no secret
        self._next = min(2 * self._next, self._retries.longest_seconds)
        return max(own, self._asked)


def _is_transient(error: Exception) -> bool:
    return isinstance(error, RateLimitedError | ServiceFailureError)


def _last_error(errors: list[Exception], *_: Any) -> tuple[Exception, None]:
    return errors[-1], None


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `operation` names it in errors; `repeatable` allows it to be sent again."""

    operation: str
    method: str
    path: str
    body: Any = None
    params: Mapping[str, str | int] | None = None
    headers: Mapping[str, str] | None = None
    repeatable: bool = True


class Transport:
    """A session with one service's host; `session` puts the credentials on each request."""

    def __init__(
        self,
        session: requests.Session,
        base_url: str,
        *,
        retries: Retries | None = None,
        timeout: tuple[float, float] = (10.0, 300.0),
    ) -> None:
        self.base_url: str = base_url.rstrip("/")
        self.retries: Retries = retries or Retries()
        self._session = session
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"Transport({self.base_url!r})"

    def json(self, call: Call) -> dict[str, Any]:
        """The JSON object that answers the call."""
        response = self.send(call)
        content: Any
        try:
            content = jsonl.loads(response.content) if response.content.strip() else {}
        except ValueError:
            content = None
        if not jsonl.is_object(content):
            message = "the answer is not a JSON object"
            raise ServiceFailureError(
                response.status_code, "BAD_ANSWER", message, (), call.operation
            )
        return content

    def send(self, call: Call, *, stream: bool = False) -> requests.Response:
        """The response to the call; a ServiceError for any status but 2xx."""
        if call.repeatable:
            return self.retries.run(lambda: self._send(call, stream=stream))
        return self._send(call, stream=stream)

    def _send(self, call: Call, *, stream: bool) -> requests.Response:
        response = self._request(call, f"{self.base_url}{call.path}", call.params, stream=stream)
        for _ in range(_MOST_REDIRECTS):
            moved = _moved_to(call, response)
            if moved is None:
                break
            response.close()
            response = self._request(call, moved, None, stream=stream)
        if response.status_code >= requests.codes.multiple_choices:
            raise service_error(response, call.operation)
        return response

    def _request(
        self, call: Call, url: str, params: Mapping[str, str | int] | None, *, stream: bool
    ) -> requests.Response:
        data = None if call.body is None else jsonl.dumps(call.body)
        headers = dict(call.headers or {})
        if data is not None:
            headers["Content-Type"] = "application/json"
        try:
            response = self._session.request(
                call.method,
                url,
                params=params,
                data=data,
                headers=headers,
                timeout=self._timeout,
                stream=True,
                allow_redirects=False,
            )
            is_streamed = stream and response.status_code < requests.codes.multiple_choices
            return response if is_streamed else held(response, call.operation)
        except requests.RequestException as error:
            raise_alone(connection_error(error, call.operation))
        except auth_exceptions.GoogleAuthError as error:
            raise_alone(credentials_error(error, call.operation))


def _moved_to(call: Call, response: requests.Response) -> str | None:
    """Where a read is sent on to within the service; no key goes elsewhere, no write is resent."""
    if call.method != "GET" or not response.is_redirect:
        return None
    moved = urljoin(response.url, response.headers["Location"])
    return moved if urlsplit(moved)[:2] == urlsplit(response.url)[:2] else None
