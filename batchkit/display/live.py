"""Progress where it happens: a live board on a terminal or in a notebook, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.live import Live

from batchkit.display.board import Board
from batchkit.events import Event, Progress, Said

if TYPE_CHECKING:
    from collections.abc import Generator

    from rich.console import ConsoleOptions, RenderResult

__all__ = ["shown"]

_SECONDS_BETWEEN = 0.5


@contextlib.contextmanager
def shown(progress: Progress | None) -> Generator[Progress]:
    """What a step tells its events to: the caller's function, or a display that suits the place.

    A display begun by an outer step is the caller's function for the steps within.
    """
    if progress is not None:
        yield progress
    elif _in_notebook():
        with _Notebook() as display:
            yield display
    elif _has_screen():
        with _Terminal() as display:
            yield display
    else:
        yield _Lines()


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    # Colab and others have a shell of their own, made from this one.
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__)


def _has_screen() -> bool:
    """Whether standard error is a terminal that can be drawn on; it may also be closed."""
    if sys.stderr is None or not sys.stderr.isatty():
        return False
    return not Console(stderr=True).is_dumb_terminal


class _Lines:
    """No terminal: a line on standard error for what is worth one, and when a step is done."""

    def __init__(self) -> None:
        self._board = Board()

    def __call__(self, event: Event) -> None:
        self._board.update(event)
        said = event.text if isinstance(event, Said) else self._board.milestone(event)
        if said and sys.stderr is not None:
            print(said, file=sys.stderr, flush=True)  # noqa: T201  # standard error is the display


class _Screen:
    """A board that fits the terminal, whose size may change while it is looked at."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def __rich_console__(
        self,
        console: Console,
        options: ConsoleOptions,  # their size is that of the rest of the screen
    ) -> RenderResult:
        width, height = console.size
        yield self._board.render(width, height - 1)  # the cursor has the last line


class _Terminal:
    """A board that rich redraws in place, on standard error."""

    def __init__(self) -> None:
        self._board = Board()
        self._console = Console(stderr=True)
        screen = _Screen(self._board)
        self._live = Live(console=self._console, get_renderable=lambda: screen)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        self._board.update(event)
        if isinstance(event, Said):
            style = "yellow" if event.is_warning else None
            self._console.print(event.text, style=style, markup=False, highlight=False)


class _Notebook:
    """A board in the cell's output, redrawn through its display id."""

    def __init__(self) -> None:
        self._board = Board()
        self._said: list[str] = []
        self._drawn = 0.0
        self._handle: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._said or not self._board.is_empty:
            self._draw(is_final=True)

    def __call__(self, event: Event) -> None:
        self._board.update(event)
        if isinstance(event, Said):
            self._said.append(event.text)
        if time.monotonic() - self._drawn > _SECONDS_BETWEEN:
            self._draw(is_final=False)

    def _draw(self, *, is_final: bool) -> None:
        from IPython.display import (  # noqa: PLC0415  # there only in a notebook
            display,  # pyright: ignore[reportUnknownVariableType]
        )

        self._drawn = time.monotonic()
        console = Console(file=io.StringIO(), width=110, record=True, force_jupyter=False)
        for text in self._said:
            console.print(text, markup=False, highlight=False)
        console.print(self._board.render(is_final=is_final))
        html = console.export_html(inline_styles=True, code_format=_HTML, clear=False)
        data = {"text/plain": console.export_text(), "text/html": html}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


_HTML = '<pre style="line-height:1.2;font-family:monospace">{code}</pre>'
