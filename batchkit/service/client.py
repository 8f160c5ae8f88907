"""The clients that users hold: one object with the batches and the files of one account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchkit.clients import connect
from batchkit.service.batches import Batches
from batchkit.service.files import Files

if TYPE_CHECKING:
    from batchkit.fields import Service
    from batchkit.transport import Retries

__all__ = ["Gemini"]


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
