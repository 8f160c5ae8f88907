"""A download: to a file that grows, from where a cut left it, by whichever address is known."""

from __future__ import annotations

import contextlib
import time
from typing import IO, TYPE_CHECKING

import requests

from batchkit.errors import NotFoundError, ServiceError, ServiceFailureError
from batchkit.failures import connection_error, raise_alone
from batchkit.service.job_json import read_integer
from batchkit.transport import Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchkit.transport import Transport

__all__ = ["Download"]

_BLOCK_BYTES = 64 * 1024  # of which a cut loses at most one
_MOST_FAILURES = 6  # in a row, without getting any further


class Download:
    """One file on its way to disk; `addresses` are the two forms of its path, tried in turn.

    `on_progress` gets bytes received and in all.
    """

    def __init__(
        self,
        transport: Transport,
        addresses: list[str],
        on_progress: Callable[[int, int | None], None] | None,
    ) -> None:
        self._transport = transport
        self._addresses = addresses
        self._on_progress = on_progress

    def run(self, file: IO[bytes]) -> None:
        """Fetch until the file is whole; the last error when it gets no further."""
        failures, reached = 0, -1
        while True:
            try:
                self._fetch(file)
            except ServiceFailureError:
                failures = failures + 1 if file.tell() <= reached else 1
                reached = file.tell()
                if failures == _MOST_FAILURES:
                    raise
                time.sleep(self._transport.retries.first_seconds * 2 ** (failures - 1))
            else:
                return

    def _fetch(self, file: IO[bytes]) -> None:
        """Append what is missing, or begin again when the service gives the whole file."""
        with contextlib.closing(self._open(file.tell())) as response:
            if response.status_code != requests.codes.partial_content:
                file.seek(0)
                file.truncate()
            length = read_integer(response.headers.get("Content-Length"))
            total = None if length is None else file.tell() + length
            try:
                for block in response.iter_content(_BLOCK_BYTES):
                    file.write(block)
                    if self._on_progress:
                        self._on_progress(file.tell(), total)
            except requests.RequestException as error:
                raise_alone(connection_error(error, "files.download"))

    def _open(self, offset: int) -> requests.Response:
        try:
            return self._get(offset)
        except ServiceError as error:
            if not offset or error.status != requests.codes.requested_range_not_satisfiable:
                raise
            return self._get(0)  # nothing was missing, or it is not the same file: all of it

    def _get(self, offset: int) -> requests.Response:
        first, second = self._addresses
        try:
            return self._send(first, offset)
        except NotFoundError:
            return self._send(second, offset)

    def _send(self, path: str, offset: int) -> requests.Response:
        # Bytes of a compressed answer could not be counted on from.
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        call = Call("files.download", "GET", path, params={"alt": "media"}, headers=headers)
        return self._transport.send(call, stream=True)
