"""Addresses that keys and rows may travel to: https, or http on this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from batchkit.errors import SetupError

__all__ = ["check_base_address", "is_private"]


def is_private(url: str) -> bool:
    """Whether nobody on the way sees what is sent there."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    is_here = parts.scheme == "http" and _is_loopback(host)
    return bool(host) and (parts.scheme == "https" or is_here)


def check_base_address(url: str) -> None:
    """Raise SetupError for an address of a service that is not private, or holds a secret.

    It is shown in reprs and errors, so a password or a key in it is refused, and not repeated.
    """
    if "@" in url or "?" in url or "#" in url:
        message = "an address of a service has no user, password or query: give https://host/path"
        raise SetupError(message)
    if not is_private(url):
        message = f"{url!r}: an address is https://…, or http:// on this machine"
        raise SetupError(message)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
