"""Connections, from arguments and the environment; the only place that reads keys and variables."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import google.auth.api_key
from google.auth.transport.requests import AuthorizedSession

from batchkit.errors import CapabilityError, CredentialsError, SetupError
from batchkit.transport import Transport

if TYPE_CHECKING:
    from batchkit.transport import Retries

__all__ = ["Connection", "connect"]

_LOG = logging.getLogger("batchkit")
_GEMINI_URL = "https://generativelanguage.googleapis.com"
# The order and the warning are those of Google's own SDK.
_KEY_VARIABLES = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
_KEY = re.compile(r"[!-~]+")
_VERTEX_VARIABLES = ("GOOGLE_GENAI_USE_ENTERPRISE", "GOOGLE_GENAI_USE_VERTEXAI")


@dataclass(frozen=True, slots=True)
class Connection:
    """A way to the Developer API with one account's key, which only the session holds.

    `account` tells this account from another; it holds the key, so only hashes of it are kept.
    """

    transport: Transport
    api_version: str
    account: str = field(repr=False)


def connect(
    api_key: str | None = None,
    *,
    base_url: str | None = None,
    api_version: str = "v1beta",
    retries: Retries | None = None,
    timeout: tuple[float, float] = (10.0, 300.0),
) -> Connection:
    """A connection from arguments, and from the environment where they are left out."""
    if api_key is None:
        _refuse_vertex()
    key = (api_key or "").strip() or _key_from_environment()
    _check_key(key)
    url = base_url or os.environ.get("GOOGLE_GEMINI_BASE_URL") or _GEMINI_URL
    _check_url(url)
    # The key goes out as the header x-goog-api-key. It cannot be refreshed: a session that tries to
    # would answer a 401 by sending the request again, and a create goes out once.
    session = AuthorizedSession(google.auth.api_key.Credentials(key), refresh_status_codes=())
    # What is on this machine is not asked for through a proxy, which would see the key.
    session.trust_env = urlsplit(url).scheme == "https"
    transport = Transport(session, url, retries=retries, timeout=timeout)
    return Connection(transport, api_version, f"{urlsplit(url).hostname} {key}")


def _refuse_vertex() -> None:
    """Say so when the environment asks for the other service."""
    if any(os.environ.get(name, "").lower() in {"1", "true"} for name in _VERTEX_VARIABLES):
        message = (
            f"{' or '.join(_VERTEX_VARIABLES)} asks for Vertex AI, which this version does not "
            "speak yet: unset it, or pass client=bk.Gemini(api_key=…)"
        )
        raise CapabilityError(message)


def _key_from_environment() -> str:
    given = {name: os.environ.get(name, "").strip() for name in _KEY_VARIABLES}
    found = {name: key for name, key in given.items() if key}
    if not found:
        message = (
            "no API key: pass api_key=, or set GOOGLE_API_KEY or GEMINI_API_KEY "
            "(https://aistudio.google.com/apikey); without an account, use `batchkit emulate`"
        )
        raise CredentialsError(message)
    if len(set(found.values())) > 1:
        _LOG.warning("GOOGLE_API_KEY and GEMINI_API_KEY are both set: using GOOGLE_API_KEY")
    return next(iter(found.values()))


def _check_key(key: str) -> None:
    """A key goes out in a header: what cannot stand there is said here, not after all retries."""
    if not _KEY.fullmatch(key):
        message = "the API key has characters in it that no key has, such as a space: copy it again"
        raise CredentialsError(message)


def _check_url(url: str) -> None:
    """A key must not travel in the clear, except to this machine."""
    message = f"{url!r}: an address is https://…, or http:// on this machine"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise SetupError(message) from error
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))
    if not host or not is_safe:
        raise SetupError(message)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
