"""Where tasks run: an engine is one method, `map`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from batchkit.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["Engine", "check_done", "engine_named"]

T = TypeVar("T")
R = TypeVar("R")


class Engine(Protocol):
    """Anything that runs a function over tasks and gives the results back, in any order.

    A task may be run more than once; it writes the same files under the same names.
    """

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterable[R]:
        """The results as they come."""
        ...


class _Local:
    """This process, one task after the other."""

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        return (function(task) for task in tasks)


def engine_named(engine: str | Engine | Any) -> Engine:
    """The engine itself, or the one of this name; SetupError when it is neither."""
    if engine == "local":
        return _Local()
    if not isinstance(engine, str) and callable(getattr(engine, "map", None)):
        return engine
    message = f"engine {engine!r}: give 'local', or an object with map(function, tasks)"
    raise SetupError(message)


def check_done(done: int, tasks: int) -> None:
    """Raise SetupError when an engine has left out tasks, or their results."""
    if done != tasks:
        message = (
            f"the engine gave {done} results for {tasks} tasks: its map(function, tasks) must run "
            "the function on each"
        )
        raise SetupError(message)
