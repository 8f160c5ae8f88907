"""A driver that dies on request: takes a table through a run, and kills itself at a fact."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import batchkit as bk

if TYPE_CHECKING:
    from batchkit.ledger import Attempt, Fact

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")


class Killer:
    """Counts facts and kills the process, with no chance to clean up, after a chosen one."""

    def __init__(self, die_at: int) -> None:
        self._left = die_at

    def __call__(self, _: Attempt, __: Fact) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def drive(table: str, target: str, service: tuple[str, str], die_at: int = 0) -> None:
    """Take a table through a run beside it; `service` is address and key, 0 is never to die."""
    url, key = service
    folder = Path(table).parent / "run"
    client = bk.Gemini(key, base_url=url)
    built = bk.build(table, SPEC, key="id", into=folder, target=target, limits={"max_rows": 4})
    run = bk.Run(built.folder, observe=[Killer(die_at)])
    bk.submit(run, client=client, settle_seconds=0.3)
    bk.wait(run, client=client, poll_seconds=0.05)
    bk.collect(run, client=client).to_parquet(folder / "out.parquet")


def drive_twice(table: str, target: str, service: tuple[str, str], die_at: int = 0) -> None:
    """The same, and have rows that failed asked once more."""
    url, key = service
    folder = Path(table).parent / "run"
    client = bk.Gemini(key, base_url=url)
    built = bk.build(table, SPEC, key="id", into=folder, target=target, limits={"max_rows": 4})
    run = bk.Run(built.folder, observe=[Killer(die_at)])
    for _ in range(2):
        bk.submit(run, client=client, settle_seconds=0.3)
        bk.wait(run, client=client, poll_seconds=0.05)
        bk.retry(run, client=client, max_attempts=2, limits={"max_rows": 1})
    bk.collect(run, client=client).to_parquet(folder / "out.parquet")


def build_slowly(folder: str, name: str) -> None:
    """Build the rows in a folder, with a pause after each task so that it can be killed between."""
    table = Path(folder) / "rows.parquet"
    bk.build(table, SPEC, key="id", into=Path(folder) / name, engine=_Slow())


class _Slow:
    def map(self, function: Any, tasks: Any) -> Any:
        for task in tasks:
            yield function(task)
            time.sleep(0.02)


# Drivers are forked from a server that has loaded everything, so that each starts at once.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.driver"])

# Loaded once by the server that drivers are forked from, not by each driver.
READY = (bk.build, bk.submit, bk.wait, bk.retry, bk.collect, bk.Gemini, pd)


def hold_and_die(folder: str) -> None:
    """Hold a run and be killed with it in hand."""
    with bk.open_run(folder).hold():
        os.kill(os.getpid(), signal.SIGKILL)
