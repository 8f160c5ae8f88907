"""What every service stands on: metadata, contents, time, limits, and who is told of effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchkit.emulator.blobs import Blobs
    from batchkit.emulator.clock import Clock
    from batchkit.emulator.fate import Fate
    from batchkit.emulator.limits import Limits
    from batchkit.emulator.state import State

__all__ = ["Workspace"]


@dataclass(frozen=True, slots=True)
class Workspace:
    """The ground under the services of one emulator.

    `url` is where it answers. `effect` is called with a kind and a resource name after a change is
    on disk and before its reply is sent. `fate` knows what befalls calls, jobs and rows.
    """

    state: State
    blobs: Blobs
    clock: Clock
    limits: Limits
    url: str
    seed: int
    effect: Callable[[str, str], None]
    fate: Fate
