"""Wait: look at the jobs of a run until all have ended, and fetch each output as its job ends."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Literal

from batchkit.courier import Courier
from batchkit.dispatch import Dispatch, held, way_of
from batchkit.display.live import shown
from batchkit.errors import (
    CapabilityError,
    RateLimitedError,
    RunHeldError,
    ServiceFailureError,
    WaitTimeoutError,
)
from batchkit.events import Said
from batchkit.overdue import Keep, Resplit
from batchkit.patience import Deadline, Patience
from batchkit.rundir import opened
from batchkit.service.client import client_for
from batchkit.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from batchkit.events import Progress
    from batchkit.patience import OnDeadline
    from batchkit.rundir import Run
    from batchkit.service.client import Client

__all__ = ["wait"]

_FIRST_POLL_SECONDS = 0.5
_GROWTH = 1.5


def wait(  # noqa: PLR0913  # the options of a verb
    run: Run | str | Path,
    *,
    client: Client | None = None,
    poll_seconds: float = 30.0,
    timeout: float | None = None,
    until: Literal["all", "any"] = "all",
    deadline: float | None = None,
    on_deadline: OnDeadline = "keep",
    max_attempts: int = 3,
    settle_seconds: float = 60.0,
    progress: Progress | None = None,
) -> Run:
    """Return when every job of the run has ended, well or not, with its output on disk.

    With `until="any"`, when one more has ended, or none is under way. Shards that were held back
    when the run was submitted are submitted as jobs end; what was never submitted is not.

    Polls at once, then less and less often up to every `poll_seconds`. A network that fails
    between two polls is waited out, and so is another driver that holds the run meanwhile.
    `timeout` (seconds, None for ever) raises WaitTimeoutError; the jobs go on and are not
    cancelled, and so it is after Ctrl-C: wait again to go on.

    `deadline` is how many seconds after its creation a job is to have ended; which have not is
    said. By default they go on. With `on_deadline="cancel_and_resplit"` they are cancelled; what
    they answered counts, and the other rows are asked again in smaller jobs, which have the same
    deadline. A row is asked `max_attempts` times in all at most: a job whose rows were goes on. A
    job that takes far longer than the others did is said to have stalled, with or without.
    """
    run = opened(run)
    bound = Deadline(deadline, on_deadline, max_attempts)
    if on_deadline != "keep" and run.definition.resident is not None:
        message = f"{run.folder} has its rows in BigQuery (pushdown), where none is asked again yet"
        raise CapabilityError(message)
    over = None if timeout is None else time.monotonic() + timeout
    pause = min(_FIRST_POLL_SECONDS, poll_seconds)
    with shown(progress) as tell, _detaching(run, tell, bound):
        used = client_for(run.definition.dialect.service, client)
        rounds = _Rounds(Courier(run, used, tell, settle_seconds), bound)
        run.check_account(used.account)
        to_come = rounds.advance()
        enough = 0 if until == "all" else max(0, to_come - 1)
        while to_come > enough:
            if over is not None and time.monotonic() + pause > over:
                message = (
                    f"jobs of {run.folder} still run after {timeout:g} s; they go on, and were "
                    "not cancelled: wait again"
                )
                raise WaitTimeoutError(message)
            time.sleep(pause)
            pause = min(pause * _GROWTH, poll_seconds)
            try:
                to_come = rounds.advance()
            except RunHeldError as error:
                tell(Said(f"{error.holder} holds the run; looking again later"))
    return run


class _Rounds:
    """Looks at all jobs again and again; the run is free for other drivers between two looks."""

    def __init__(self, courier: Courier, deadline: Deadline) -> None:
        run, client, tell = courier.run, courier.client, courier.tell
        self._run = run
        self._tell = tell
        self._patience = Patience(run, tell, deadline)
        self._watch = Watch(run, client, tell, observe=self._patience.see)
        if deadline.then == "cancel_and_resplit":
            self._overdue = Resplit(run, client, tell, deadline)
        else:
            self._overdue = Keep(tell, deadline)
        self._dispatch = Dispatch(courier, way_of(run))

    def advance(self) -> int:
        """Look once, and submit what was held back and fits now; how many are still to come."""
        with self._run.hold():
            to_come = self._watch.advance()
            self._overdue.advance(self._patience.late())
            waiting = held(self._run)
            if waiting:
                self._send()
            return to_come + waiting

    def _send(self) -> None:
        """Submit what fits now; a service that does not answer is asked again in the next round."""
        try:
            self._dispatch.send()
        except (RateLimitedError, ServiceFailureError) as error:
            self._tell(Said(f"{error.message}; looking again later", is_warning=True))


@contextlib.contextmanager
def _detaching(run: Run, tell: Progress, deadline: Deadline) -> Generator[None]:
    """Ctrl-C leaves the jobs alone and says how to come back."""
    try:
        yield
    except KeyboardInterrupt:
        again = f"`batchkit wait {run.folder}`, or run the same call again"
        what = "nothing was cancelled" if deadline.then == "keep" else "this cancelled none"
        tell(Said(f"detached; the jobs go on, {what}. To come back: {again}"))
        raise
