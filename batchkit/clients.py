"""Connections, from arguments and the environment; the only place that reads keys and variables."""

from __future__ import annotations

import functools
import importlib
import logging
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import google.auth
import google.auth.api_key
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession

from batchkit.address import check_base_address
from batchkit.errors import CredentialsError, SetupError
from batchkit.failures import google_errors
from batchkit.secret import hide_secrets_in_logs
from batchkit.storage import Objects
from batchkit.transport import Transport
from batchkit.warehouse import Warehouse

if TYPE_CHECKING:
    from batchkit.fields import Service
    from batchkit.transport import Retries

__all__ = ["Cloud", "Connection", "connect", "connect_cloud", "connect_vertex", "wanted_service"]

_LOG = logging.getLogger("batchkit")
_GEMINI_URL = "https://generativelanguage.googleapis.com"
# The order and the warning are those of Google's own SDK.
_KEY_VARIABLES = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
_KEY = re.compile(r"[!-~]+")
# The first that is set decides, as in Google's own SDK.
_VERTEX_VARIABLES = ("GOOGLE_GENAI_USE_ENTERPRISE", "GOOGLE_GENAI_USE_VERTEXAI")
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
# The multi-regions have a host of their own; the documentation names two forms, and this one is
# that of Google's SDK. `base_url` overrides it.
_MULTI_REGIONS = ("us", "eu")
_NAME = re.compile(r"[a-z0-9][a-z0-9.:-]*")


@dataclass(frozen=True, slots=True)
class Connection:
    """A way to one service with one account's credentials, which only the session holds.

    `account` tells this account from another; it may hold a key, so only hashes of it are kept.
    `place` is Vertex's `projects/…/locations/…`, and `cloud` that project.
    """

    service: Service
    transport: Transport
    api_version: str
    account: str = field(repr=False)
    place: str = ""
    cloud: Cloud | None = None


def wanted_service() -> Service:
    """The service that the environment asks for: Vertex AI when it says so, else Gemini."""
    said = next((os.environ[name] for name in _VERTEX_VARIABLES if os.environ.get(name)), "")
    return "vertex" if said.lower() in {"1", "true"} else "gemini"


def connect(
    api_key: str | None = None,
    *,
    base_url: str | None = None,
    api_version: str = "v1beta",
    retries: Retries | None = None,
    timeout: tuple[float, float] = (10.0, 300.0),
) -> Connection:
    """A connection to the Developer API, from the environment where arguments are left out."""
    hide_secrets_in_logs()
    key = (api_key or "").strip() or _key_from_environment()
    _check_key(key)
    url = base_url or os.environ.get("GOOGLE_GEMINI_BASE_URL") or _GEMINI_URL
    # The key goes out as the header x-goog-api-key. It cannot be refreshed: a session that tries to
    # would answer a 401 by sending the request again, and a create goes out once.
    session = AuthorizedSession(google.auth.api_key.Credentials(key), refresh_status_codes=())
    transport = _transport(session, url, retries, timeout)
    return Connection("gemini", transport, api_version, f"{urlsplit(url).hostname} {key}")


def connect_vertex(  # noqa: PLR0913  # what a client is, by keyword
    project: str | None = None,
    location: str | None = None,
    *,
    credentials: Any = None,
    base_url: str | None = None,
    api_version: str = "v1",
    retries: Retries | None = None,
    timeout: tuple[float, float] = (10.0, 300.0),
) -> Connection:
    """A connection to Vertex AI, over Application Default Credentials where none are given."""
    cloud = connect_cloud(project, credentials=credentials)
    named = (location or os.environ.get("GOOGLE_CLOUD_LOCATION", "")).strip()
    if not _NAME.fullmatch(named):
        message = (
            "no location: pass location=, or set GOOGLE_CLOUD_LOCATION: us-central1, global, …"
            if not named
            else f"location {named!r}: it looks like us-central1, or global"
        )
        raise SetupError(message)
    url = base_url or os.environ.get("GOOGLE_VERTEX_BASE_URL") or _vertex_url(named)
    # A create that was refused for an old token made no job, so the session may send it again.
    session = AuthorizedSession(cloud.credentials)
    transport = _transport(session, url, retries, timeout)
    place = f"projects/{cloud.project}/locations/{named}"
    return Connection("vertex", transport, api_version, place, place, cloud)


@dataclass(frozen=True)
class Cloud:
    """A Google Cloud project as its own libraries reach it: objects and tables."""

    project: str
    credentials: Any = field(repr=False)

    @functools.cached_property
    def objects(self) -> Objects:
        """What lies in Cloud Storage."""
        storage = _library("storage")
        # Its library goes without credentials to an emulator, which STORAGE_EMULATOR_HOST names.
        used = None if os.environ.get("STORAGE_EMULATOR_HOST") else self.credentials
        with google_errors("storage"):
            return Objects(storage.Client(project=self.project, credentials=used))

    @functools.cached_property
    def warehouse(self) -> Warehouse:
        """What lies in BigQuery; rows come by its Storage API where that library is installed."""
        bigquery = _library("bigquery")
        emulator = os.environ.get("BIGQUERY_EMULATOR_HOST")
        used: Any = AnonymousCredentials() if emulator else self.credentials
        with google_errors("bigquery"):
            client = bigquery.Client(project=self.project, credentials=used)
            return Warehouse(client, _row_reader(used, is_emulated=bool(emulator)))


def connect_cloud(project: str | None = None, *, credentials: Any = None) -> Cloud:
    """The project of the arguments, else of the environment, else of the credentials."""
    hide_secrets_in_logs()
    found: Any = None
    if credentials is None:
        with google_errors("google.auth"):
            credentials, found = cast("tuple[Any, Any]", google.auth.default(scopes=_SCOPES))  # pyright: ignore[reportUnknownMemberType]
    name = project or os.environ.get("GOOGLE_CLOUD_PROJECT") or found
    if not name:
        message = "no Google Cloud project: pass project=, or set GOOGLE_CLOUD_PROJECT"
        raise SetupError(message)
    if not _NAME.fullmatch(name):
        message = f"project {name!r}: give the project's id, such as my-project-123"
        raise SetupError(message)
    return Cloud(name, credentials)


def _library(name: str) -> Any:
    """One of Google's libraries: slow to load, and only some need it."""
    return importlib.import_module(f"google.cloud.{name}")


def _row_reader(credentials: Any, *, is_emulated: bool) -> Any:
    """A client of the BigQuery Storage API, None where rows are to come by REST."""
    try:
        library = _library("bigquery_storage")
    except ImportError:
        return None
    if not is_emulated:
        return library.BigQueryReadClient(credentials=credentials)
    host = os.environ.get("BIGQUERY_STORAGE_EMULATOR_HOST")
    if not host:
        return None
    channel = importlib.import_module("grpc").insecure_channel(host)
    transport = library.BigQueryReadClient.get_transport_class("grpc")
    return library.BigQueryReadClient(transport=transport(channel=channel))


def _transport(
    session: Any, url: str, retries: Retries | None, timeout: tuple[float, float]
) -> Transport:
    check_base_address(url)
    # What is on this machine is not asked for through a proxy, which would see the credentials.
    session.trust_env = urlsplit(url).scheme == "https"
    return Transport(session, url, retries=retries, timeout=timeout)


def _vertex_url(location: str) -> str:
    if location == "global":
        return "https://aiplatform.googleapis.com"
    if location in _MULTI_REGIONS:
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


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
