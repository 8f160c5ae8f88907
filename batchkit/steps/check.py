"""Check: would the service take this request file? Offline, before hours are spent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from batchkit.file_check import check_content, check_file
from batchkit.request_check import Report, dialect_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["check"]


def check(
    lines: str | Path | Iterable[bytes | str],
    *,
    dialect: str | None = None,
    limits: Mapping[str, float] | None = None,
) -> Report:
    """Check a request file, or its lines, against the service that is to read it.

    `dialect` is one of gemini-generate, gemini-embed, vertex-generate, vertex-embed,
    vertex-embed-legacy; without it, that of the first lines. `limits` overrides what the service
    documents for one file (`max_bytes`, `max_rows`). Each problem has its line, key, path and
    remedy. Nothing is sent anywhere.
    """
    known = dialect_named(dialect) if dialect else None
    if isinstance(lines, str | Path):
        return check_file(Path(lines), known, limits)
    return check_content((_as_bytes(line) for line in lines), known, limits)


def _as_bytes(line: bytes | str) -> bytes:
    """Half of a surrogate pair becomes bytes that are no UTF-8, and is found as that."""
    return line.encode(errors="surrogatepass") if isinstance(line, str) else line
