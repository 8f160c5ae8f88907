"""Putting a function of ours where bqemulator looks up one of its own."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["replace"]


def replace(place: str, name: str, make: Callable[[Any], Any]) -> None:
    """Put `make(what is there)` at a name of `module` or `module:Class`.

    AttributeError when nothing is there: this is another bqemulator than the one we know.
    """
    module, _, inner = place.partition(":")
    owner: Any = importlib.import_module(module)
    if inner:
        owner = getattr(owner, inner)
    setattr(owner, name, make(getattr(owner, name)))
