"""Lists in pages: how much is asked for, and where the next page begins."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from batchkit.emulator.storage.errors import invalid
from batchkit.emulator.storage.preconditions import number

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["after", "after_prefix", "page_size", "page_start", "page_token"]

_LARGEST_PAGE = 1000
_LAST_CHARACTER, _SURROGATES = 0x10FFFF, range(0xD800, 0xE000)


def page_size(query: Mapping[str, str]) -> int:
    """How many entries a page has: `maxResults`, at most a thousand."""
    asked = number(query.get("maxResults") or _LARGEST_PAGE, "maxResults")
    return min(asked or _LARGEST_PAGE, _LARGEST_PAGE)


def page_start(query: Mapping[str, str]) -> str:
    """The first name that can be on the page."""
    token = query.get("pageToken", "")
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError:
        text = f"Invalid page token: {token}"
        raise invalid(text) from None


def page_token(start: str) -> str:
    """The token of the page that begins with `start`, or what comes after it."""
    return base64.urlsafe_b64encode(start.encode()).decode()


def after(name: str) -> str:
    """The first of all names after this one, in the order of lists: by code points."""
    return name + "\0"


def after_prefix(prefix: str) -> str | None:
    """The first of all names after those that begin with `prefix`, which is not empty.

    None when there cannot be one.
    """
    code = ord(prefix[-1]) + 1
    if code > _LAST_CHARACTER:
        return after_prefix(prefix[:-1]) if len(prefix) > 1 else None
    return prefix[:-1] + chr(_SURROGATES.stop if code in _SURROGATES else code)
