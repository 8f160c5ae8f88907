"""Wait: look at the jobs of a run until all have ended, and fetch each output as its job ends."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Literal

from batchkit.display.live import shown
from batchkit.errors import RunHeldError, WaitTimeoutError
from batchkit.events import Said
from batchkit.rundir import opened
from batchkit.service.client import Gemini
from batchkit.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from batchkit.events import Progress
    from batchkit.rundir import Run

__all__ = ["wait"]

_FIRST_POLL_SECONDS = 0.5
_GROWTH = 1.5


def wait(
    run: Run | str | Path,
    *,
    client: Gemini | None = None,
    poll_seconds: float = 30.0,
    timeout: float | None = None,
    until: Literal["all", "any"] = "all",
    progress: Progress | None = None,
) -> Run:
    """Return when every job of the run has ended, well or not, with its output on disk.

    With `until="any"`, when one more has ended, or none is under way.

    Polls at once, then less and less often up to every `poll_seconds`. A network that fails
    between two polls is waited out, and so is another driver that holds the run meanwhile.
    `timeout` (seconds, None for ever) raises WaitTimeoutError; the jobs go on and are not
    cancelled, and so it is after Ctrl-C: wait again to go on.
    """
    run = opened(run)
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = min(_FIRST_POLL_SECONDS, poll_seconds)
    with shown(progress) as tell, _detaching(run, tell):
        watch = Watch(run, client or Gemini(), tell)
        run.check_account(watch.client.account)
        running = _advance(watch)
        enough = 0 if until == "all" else max(0, running - 1)
        while running > enough:
            if deadline is not None and time.monotonic() + pause > deadline:
                message = (
                    f"jobs of {run.folder} still run after {timeout:g} s; they go on, and were "
                    "not cancelled: wait again"
                )
                raise WaitTimeoutError(message)
            time.sleep(pause)
            pause = min(pause * _GROWTH, poll_seconds)
            try:
                running = _advance(watch)
            except RunHeldError as error:
                tell(Said(f"{error.holder} holds the run; looking again later"))
    return run


def _advance(watch: Watch) -> int:
    """One look at all jobs; the run is free for other drivers between two of them."""
    with watch.run.hold():
        return watch.advance()


@contextlib.contextmanager
def _detaching(run: Run, tell: Progress) -> Generator[None]:
    """Ctrl-C leaves the jobs alone and says how to come back."""
    try:
        yield
    except KeyboardInterrupt:
        again = f"`batchkit wait {run.folder}`, or run the same call again"
        tell(Said(f"detached; the jobs go on, nothing was cancelled. To come back: {again}"))
        raise
