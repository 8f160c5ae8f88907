"""Lists in pages, by opaque tokens."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchkit.emulator.errors import ApiError, Rpc

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PAGE_PARAMETERS", "Page", "page_token", "requested_page"]

PAGE_PARAMETERS = frozenset({"pageSize", "pageToken", "page_size", "page_token"})
_SPELLINGS = {"page_size": "pageSize", "page_token": "pageToken"}
_SIZE = re.compile(r"[0-9]{1,10}")
_INT32_STOP = 1 << 31
_TOKEN = re.compile(r"before:([0-9]{1,18})")
_FIRST = 1 << 62


@dataclass(frozen=True, slots=True)
class Page:
    """At most `size` entries whose sequence number is below `before`: newest first."""

    size: int
    before: int


def requested_page(query: Mapping[str, str], *, default: int, largest: int) -> Page:
    """The page a query asks for; sizes above `largest` are cut, as Google's lists do.

    https://google.aip.dev/158
    """
    parameters = {_SPELLINGS.get(name, name): value for name, value in query.items()}
    text = parameters.get("pageSize", "0")
    if not _SIZE.fullmatch(text) or int(text) >= _INT32_STOP:
        raise ApiError(
            Rpc.INVALID_ARGUMENT, f"Invalid value at 'page_size' (TYPE_INT32), \"{text}\""
        )
    size = min(int(text), largest) or default
    token = parameters.get("pageToken", "")
    return Page(size, _sequence(token) if token else _FIRST)


def page_token(sequence: int) -> str:
    """The token of the page after the entry with this number."""
    return base64.urlsafe_b64encode(f"before:{sequence}".encode()).decode().rstrip("=")


def _sequence(token: str) -> int:
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except (binascii.Error, ValueError):
        text = ""
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise ApiError(Rpc.INVALID_ARGUMENT, "Invalid page token.")
    return int(match[1])
