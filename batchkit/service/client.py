"""The clients that users hold: one object with the batches and the files of one account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

from batchkit.clients import connect, connect_cloud, connect_vertex
from batchkit.errors import SetupError
from batchkit.service.batches import Batches
from batchkit.service.files import Files

if TYPE_CHECKING:
    from batchkit.clients import Cloud
    from batchkit.fields import Service
    from batchkit.transport import Retries

__all__ = ["Client", "Gemini", "Vertex", "client_for", "cloud_of"]


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
        self._connection = connect(
            api_key, base_url=base_url, api_version=api_version, retries=retries, timeout=timeout
        )
        self.batches: Batches = Batches(self._connection)
        self.files: Files = Files(self._connection)

    def __repr__(self) -> str:
        return f"Gemini(base_url={self._connection.transport.base_url!r})"

    @property
    def account(self) -> str:
        """What tells this account from another; holds the key, so keep only a hash of it."""
        return self._connection.account


class Vertex:
    """A client of Vertex AI: the `batches` of one project and location, and that project's data.

    Without `project`, GOOGLE_CLOUD_PROJECT or that of the credentials; without `location`,
    GOOGLE_CLOUD_LOCATION: a region, a multi-region (`us`, `eu`) or `global`. Credentials are the
    Application Default Credentials unless given. `base_url` (or GOOGLE_VERTEX_BASE_URL) overrides
    the location's host. `cloud` is the project's storage and warehouse.
    """

    service: Service = "vertex"

    def __init__(  # noqa: PLR0913  # what a client is, by keyword
        self,
        project: str | None = None,
        location: str | None = None,
        *,
        credentials: Any = None,
        base_url: str | None = None,
        api_version: str = "v1",
        retries: Retries | None = None,
        timeout: tuple[float, float] = (10.0, 300.0),
    ) -> None:
        self._connection = connect_vertex(
            project,
            location,
            credentials=credentials,
            base_url=base_url,
            api_version=api_version,
            retries=retries,
            timeout=timeout,
        )
        self.cloud: Cloud = cast("Cloud", self._connection.cloud)
        self.batches: Batches = Batches(self._connection)

    def __repr__(self) -> str:
        return f"Vertex({self.account!r})"

    @property
    def project(self) -> str:
        """The project's id."""
        return self.cloud.project

    @property
    def location(self) -> str:
        """Where its jobs run."""
        return self.account.rpartition("/")[2]

    @property
    def account(self) -> str:
        """`projects/…/locations/…`, which tells this account from another."""
        return self._connection.account


Client: TypeAlias = Gemini | Vertex


def client_for(service: Service, given: Client | None = None) -> Client:
    """The client that is given, or one from the environment; SetupError for the other service."""
    if given is None:
        return Vertex() if service == "vertex" else Gemini()
    if given.service != service:
        wanted = "bk.Vertex(…)" if service == "vertex" else "bk.Gemini(…)"
        message = f"{given!r} speaks to the other service than the run's target: give {wanted}"
        raise SetupError(message)
    return given


def cloud_of(client: Client | None) -> Cloud:
    """The project whose objects and tables are read and written: the client's, or the default."""
    return client.cloud if isinstance(client, Vertex) else connect_cloud()
