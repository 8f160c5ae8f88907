"""One shard on its way: its request file and what the service is told about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batchkit.wire import Kind

__all__ = ["Parcel", "display_name"]


@dataclass(frozen=True, slots=True)
class Parcel:
    """The requests in `path` for one job; `display_name` is how the job is found again.

    `name` is that of the attempt, unique in the run; `target` and `output` are where requests and
    responses go, as the user names them; `is_legacy` when the model takes a text alone. `may_exist`
    says that an earlier try may have left an upload of this name behind. `query` is the SELECT that
    gives the requests of a run whose rows stay in BigQuery; it has no file.
    """

    path: Path
    kind: Kind
    model: str
    display_name: str
    sha256: str
    run_id: str = ""
    name: str = ""
    target: str = ""
    output: str | None = None
    is_legacy: bool = False
    may_exist: bool = False
    query: str | None = None
    on_progress: Callable[[int, int], None] | None = None


def display_name(run_id: str, attempt: str, sha256: str) -> str:
    """What the job of an attempt is called, and an upload for it: no other requests have it."""
    return f"batchkit-{run_id}-{attempt}-{sha256[:12]}"
