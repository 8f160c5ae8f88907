"""An emulator in a process of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING

from .client import BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Elsewhere", "emulator_elsewhere"]

_PROGRAM = """
import sys, time
from batchkit.emulator import serve
emulator = serve(folder=sys.argv[1], buckets=(sys.argv[2],))
print(emulator.url, flush=True)
time.sleep(600)
"""


class Elsewhere:
    """Where it answers, and how to end it without warning."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.url: str = process.stdout.readline().strip()
        self._process = process

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def emulator_elsewhere(folder: Path) -> Iterator[Elsewhere]:
    """An emulator with a bucket, killed at the end of the block if not before."""
    command = [sys.executable, "-c", _PROGRAM, str(folder), BUCKET]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own interpreter
        elsewhere = Elsewhere(process)
        try:
            yield elsewhere
        finally:
            elsewhere.kill()
