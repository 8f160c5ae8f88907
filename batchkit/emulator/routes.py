"""The routing table: which handler answers which method and path, and who may ask."""

from __future__ import annotations

import functools
import logging
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from batchkit.emulator.errors import ApiError, Rpc
from batchkit.emulator.exchange import Reply, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[Request], Reply]

__all__ = ["Route", "Router"]

_LOGGER = logging.getLogger(__name__)
_VARIABLE = re.compile(r"\{(\w+)(?::(\w+))?\}")
_KINDS = {
    "version": "v1|v1beta",
    "vertex": "v1|v1beta1",
    "name": "[^/:]+",
    "segment": "[^/]+",
    "rest": ".+",
    # What stands first in the path of another API is no bucket.
    "bucket": "(?!(?:v1[a-z0-9]*|batch|download|storage|upload)/)[a-z0-9][a-z0-9._-]+",
}
# https://cloud.google.com/apis/docs/system-parameters
_SYSTEM_PARAMETERS = frozenset({"key", "alt", "fields", "prettyPrint", "quotaUser", "callback"})


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path with `{variables}`; `{version}` is an API version.

    `{variable:kind}` is a `segment` of the path, colons included, or the `rest` of it; or a
    `bucket`. `parameters` are the query parameters it takes beside Google's own, None for any. A
    route is `open` when it needs no API key. `when` names a query parameter without which the
    route does not answer, or is "parameter=value".
    """

    method: str
    template: str
    handler: Handler
    parameters: frozenset[str] | None = frozenset()
    open: bool = False
    when: str = ""

    def match(self, request: Request) -> dict[str, str] | None:
        """The path's variables, or None when this route does not answer the request."""
        if request.method != self.method or not self._applies(request):
            return None
        found = _pattern(self.template).fullmatch(request.path)
        return {name: unquote(text) for name, text in found.groupdict().items()} if found else None

    def _applies(self, request: Request) -> bool:
        name, equals, value = self.when.partition("=")
        found = request.query.get(name)
        return not name or (found == value if equals else found is not None)


@dataclass(frozen=True, slots=True)
class Router:
    """The application: finds the route of a request, checks its key and its parameters."""

    routes: tuple[Route, ...]
    api_key: str

    def __call__(self, request: Request) -> Reply:
        """The reply to a request; ConnectionError when its connection is to be cut instead."""
        try:
            return self._answer(request)
        except ApiError as error:
            return Reply(error.http_status, error.body())
        except ConnectionError:
            raise
        except Exception as error:
            _LOGGER.exception("%s %s", request.method, request.path)
            text = f"The emulator failed: {type(error).__name__}: {error}"
            return Reply(500, ApiError(Rpc.INTERNAL, text).body())

    def _answer(self, request: Request) -> Reply:
        for route in self.routes:
            variables = route.match(request)
            if variables is not None:
                if not route.open:
                    self._authorise(request)
                _check_parameters(route, request)
                return route.handler(replace(request, variables=variables))
        self._authorise(request)
        raise ApiError(Rpc.NOT_FOUND, f"Method not found: {request.method} {request.path}")

    def _authorise(self, request: Request) -> None:
        key = request.headers.get("x-goog-api-key") or request.query.get("key")
        if not key:
            raise ApiError(Rpc.PERMISSION_DENIED, _UNREGISTERED)
        if key != self.api_key:
            raise ApiError(Rpc.INVALID_ARGUMENT, _INVALID_KEY, _INVALID_KEY_DETAILS)


@functools.lru_cache
def _pattern(template: str) -> re.Pattern[str]:
    pattern, end = "", 0
    for variable in _VARIABLE.finditer(template):
        name, kind = variable.groups()
        kind = kind or ("version" if name == "version" else "name")
        pattern += f"{re.escape(template[end : variable.start()])}(?P<{name}>{_KINDS[kind]})"
        end = variable.end()
    return re.compile(pattern + re.escape(template[end:]))


def _check_parameters(route: Route, request: Request) -> None:
    if route.parameters is None:
        return
    for name in request.query:
        if name not in route.parameters and name.lstrip("$") not in _SYSTEM_PARAMETERS:
            text = (
                f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query '
                f"parameter. Field '{name}' could not be found in request message."
            )
            raise ApiError(Rpc.INVALID_ARGUMENT, text)


_UNREGISTERED = (
    "Method doesn't allow unregistered callers (callers without established identity). "
    "Please use API Key or other form of API consumer identity to call this API."
)
_INVALID_KEY = "API key not valid. Please pass a valid API key."
_INVALID_KEY_DETAILS: list[dict[str, Any]] = [
    {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    },
    {
        "@type": "type.googleapis.com/google.rpc.LocalizedMessage",
        "locale": "en-US",
        "message": _INVALID_KEY,
    },
]
