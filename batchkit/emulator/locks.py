"""One lock for each name."""

from __future__ import annotations

import threading

__all__ = ["Locks"]


class Locks:
    """Locks by name, made when first asked for; a thread may take the same one again."""

    def __init__(self) -> None:
        self._locks: dict[str, threading.RLock] = {}
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> threading.RLock:
        with self._lock:
            return self._locks.setdefault(name, threading.RLock())
