"""Numbers and orders that follow from a seed, the same on every machine and with every numpy."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["seeded_numbers", "seeded_order"]


def seeded_numbers(seed: str, count: int) -> npt.NDArray[np.uint64]:
    """As many 64-bit numbers as asked for."""
    return np.frombuffer(hashlib.shake_256(seed.encode()).digest(8 * count), dtype="<u8")


def seeded_order(seed: str, count: int) -> npt.NDArray[np.int64]:
    """The numbers below `count` in an order that is never their own, if there are two."""
    order = np.argsort(seeded_numbers(seed, count), kind="stable").astype(np.int64)
    in_order = bool(np.all(order[1:] > order[:-1]))
    return order[::-1] if in_order else order
