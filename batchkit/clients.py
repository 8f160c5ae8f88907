"""Clients, built from arguments and the environment: the only place that reads keys and variables."""

from __future__ import annotations

import ipaddress
import logging
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import google.auth.api_key
from google.auth.transport.requests import AuthorizedSession

from batchkit.errors import CapabilityError, CredentialsError, SetupError
from batchkit.service.batches import Batches
from batchkit.service.files import Files
from batchkit.service.gemini import GeminiBatches
from batchkit.service.transport import Transport

if TYPE_CHECKING:
    from batchkit.fields import Service
    from batchkit.service.transport import Retries

__all__ = ["Gemini", "default_client"]

_LOG = logging.getLogger("batchkit")
_GEMINI_URL = "https://generativelanguage.googleapis.com"
# The order and the warning are those of Google's own SDK.
_KEY_VARIABLES = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
_VERTEX_VARIABLES = ("GOOGLE_GENAI_USE_ENTERPRISE", "GOOGLE_GENAI_USE_VERTEXAI")


class Gemini:
    """A client of the Gemini Developer API: `batches` and `files` of the project of one API key.

    Without `api_key`, GOOGLE_API_KEY or else GEMINI_API_KEY; without `base_url`,
    GOOGLE_GEMINI_BASE_URL or else Google's. Only https is spoken, except to this machine.
    `timeout` is seconds to connect and to wait for an answer.
    """

    service: Service = "gemini"

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        api_version: str = "v1beta",
        retries: Retries | None = None,
        timeout: tuple[float, float] = (10.0, 300.0),
    ) -> None:
        key = api_key or _key_from_environment()
        url = base_url or os.environ.get("GOOGLE_GEMINI_BASE_URL") or _GEMINI_URL
        _check_url(url)
        # The key goes out as the header x-goog-api-key and is kept nowhere else.
        session = AuthorizedSession(google.auth.api_key.Credentials(key))
        transport = Transport(session, url, retries=retries, timeout=timeout)
        self._account = f"{urlsplit(url).netloc} {key}"
        self.files = Files(transport, api_version)
        self.batches = Batches(GeminiBatches(transport, api_version), self.files)
        self.base_url = transport.base_url

    def __repr__(self) -> str:
        return f"Gemini(base_url={self.base_url!r})"

    def account(self) -> str:
        """What tells this account from another; holds the key, so only a hash of it is kept."""
        return self._account


def default_client() -> Gemini:
    """The client that the environment describes."""
    if any(os.environ.get(name, "").lower() in {"1", "true"} for name in _VERTEX_VARIABLES):
        message = (
            f"{' or '.join(_VERTEX_VARIABLES)} asks for Vertex AI, which this version does not "
            "speak yet: unset it, or pass client=bk.Gemini(…)"
        )
        raise CapabilityError(message)
    return Gemini()


def _key_from_environment() -> str:
    found = {name: os.environ[name] for name in _KEY_VARIABLES if os.environ.get(name)}
    if not found:
        message = (
            "no API key: pass api_key=, or set GOOGLE_API_KEY or GEMINI_API_KEY "
            "(https://aistudio.google.com/apikey); without an account, use `batchkit emulate`"
        )
        raise CredentialsError(message)
    if len(set(found.values())) > 1:
        _LOG.warning("GOOGLE_API_KEY and GEMINI_API_KEY are both set: using GOOGLE_API_KEY")
    return next(iter(found.values()))


def _check_url(url: str) -> None:
    """A key must not travel in the clear, except to this machine."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and _is_loopback(parts.hostname or ""):
        return
    message = f"{url!r}: an address is https://…, or http:// on this machine"
    raise SetupError(message)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
