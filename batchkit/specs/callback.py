"""A user's function as a prompt: a row becomes a text, or a whole REST request body."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from batchkit.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Callback", "RowFunction", "as_callback"]

RowFunction: TypeAlias = "Callable[[Mapping[str, Any]], str | Mapping[str, Any]]"


@dataclass(frozen=True, slots=True)
class Callback:
    """A function of a row, known by its name and by the version the user gives it.

    The function itself is no part of the spec's identity: code cannot be compared, a version can.
    """

    name: str
    version: str
    function: RowFunction | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"

    def called(self) -> RowFunction:
        """The function; a SetupError when the spec was read back and has only its name."""
        if self.function is None:
            message = f"the function {self} is not at hand: pass the spec that holds it"
            raise SetupError(message)
        return self.function

    def to_json(self) -> dict[str, str]:
        """Name and version."""
        return {"function": self.name, "version": self.version}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Callback:
        """What `to_json` wrote, without the function."""
        return cls(content["function"], content["version"])


def as_callback(function: RowFunction, version: str | None) -> Callback:
    """The function with its version; SetupError when it has none, or is no function at all."""
    if not callable(function):
        message = f"the prompt is a {type(function).__name__}: give a template or a function"
        raise SetupError(message)
    module = getattr(function, "__module__", None)
    qualified = getattr(function, "__qualname__", type(function).__name__)
    name = f"{module}.{qualified}" if module else qualified
    if not version:
        message = (
            f"the prompt {name} is a function: give version='1', and a new one when you change it, "
            "so that a run resumes only with the function it was built with"
        )
        raise SetupError(message)
    return Callback(name, version, function)
