"""An emulator in a process of its own: killed on request, and started again on its folder."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Self, TypeVar

import requests

from .client import Address, Client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["HOUR", "Mortal"]

Result = TypeVar("Result")

HOUR = 3600
# An event is a change on disk that was not replied to yet, or a row about to be answered.
_LIFE = """
import itertools, os, signal, sys, time
from batchkit.emulator import echo, serve

folder, die_at = sys.argv[1], int(sys.argv[2])
events = itertools.count(1)

def event(*_):
    if next(events) == die_at:
        os.kill(os.getpid(), signal.SIGKILL)

def answer(kind, model, request):
    event()
    return echo(kind, model, request)

emulator = serve(
    folder=folder, on_effect=event, answerer=answer, pending_seconds=3600, job_seconds=3600
)
print(emulator.url, flush=True)
time.sleep(3600)
"""


class Mortal:
    """An emulator that dies (SIGKILL) at the `die_at`-th event, or when its `with` block ends.

    Its jobs wait an hour and run for another. `deaths` is how often it died of a step.
    """

    def __init__(self, folder: Path, die_at: int = 0) -> None:
        self._folder = folder
        self.deaths = 0
        self._start(die_at)

    def _start(self, die_at: int) -> None:
        command = [sys.executable, "-c", _LIFE, str(self._folder), str(die_at)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own interpreter
        assert self._process.stdout is not None
        self.url: str = self._process.stdout.readline().strip()

    def _ended(self) -> int:
        """Wait for the process, and say how it ended."""
        with self._process:
            return self._process.wait(60)

    def until_done(self, step: Callable[[Client], Result]) -> Result:
        """Do a step, and again on a new emulator when this one dies of it."""
        while True:
            client = Client(Address(self.url))
            try:
                return step(client)
            except requests.ConnectionError:
                assert self._ended() == -signal.SIGKILL
                self.deaths += 1
                self._start(0)
            finally:
                client.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._ended()
