"""A driver that dies on request: takes a table through a run, and kills itself at a fact."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.dataset
from google.cloud import bigquery, storage
from google.cloud.bigquery_storage import BigQueryReadClient

import batchkit as bk

if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    from batchkit.ledger import Attempt, Fact

    # After the nth fact, or before the nth change of a file.
    Death: TypeAlias = tuple[Literal["fact", "change"], int] | None

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
SETTLE_SECONDS = 0.3
AGAIN, AMBIGUOUS = 75, 76  # how a driver ends that is to be tried again, or not


class Killer:
    """Counts facts and kills the process, with no chance to clean up, after a chosen one."""

    def __init__(self, die_at: int) -> None:
        self._left = die_at

    def __call__(self, _: Attempt, __: Fact) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def drive(table: str, target: str, service: tuple[str, str]) -> None:
    """Take a table through a run beside it; `service` is address and key."""
    url, key = service
    folder = Path(table).parent / "run"
    client = bk.Gemini(key, base_url=url)
    run = bk.build(table, SPEC, key="id", into=folder, target=target, limits={"max_rows": 4})
    bk.submit(run, client=client, settle_seconds=SETTLE_SECONDS)
    bk.wait(run, client=client, poll_seconds=0.05)
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
FORKS.set_forkserver_preload(["tests.driver", "tests.ordeal", "tests.warehouse"])

# Loaded once by the server that drivers are forked from, not by each driver.
READY = (bk.build, bk.submit, bk.wait, bk.retry, bk.collect, bk.Gemini, bk.Vertex, pd)
READY_TOO = (bigquery, storage, BigQueryReadClient, pyarrow.dataset)


def hold_and_die(folder: str) -> None:
    """Hold a run and be killed with it in hand."""
    with bk.open_run(folder).hold():
        os.kill(os.getpid(), signal.SIGKILL)


class Doom:
    """Kills the process before its nth change to a folder: a file opened to write, a name moved."""

    def __init__(self, folder: Path, nth: int) -> None:
        self._folder = str(folder)
        self._left = nth

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """What `sys.addaudithook` calls, before the thing is done."""
        if event not in _CHANGES or not str(arguments[0]).startswith(self._folder):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


_CHANGES = frozenset({"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir"})


def endure(  # noqa: PLR0917  # what a process is started with
    folder: str,
    target: str,
    environment: dict[str, str],
    max_attempts: int,
    death: Death = None,
) -> None:
    """Take a table through a run beside it until no row is to be asked again.

    The environment says where the services are. Ends with AGAIN when the service does not do what
    it should, and with AMBIGUOUS when it has two jobs for one.
    """
    os.environ.update(environment)
    what, nth = death or ("", 0)
    if what == "change":
        sys.addaudithook(Doom(Path(folder), nth))
    try:
        killer = Killer(nth if what == "fact" else 0)
        _endure(Path(folder), target, killer, max_attempts)
    except bk.errors.ServiceError:
        os._exit(AGAIN)
    except bk.errors.AmbiguousJobError:
        os._exit(AMBIGUOUS)


def _endure(folder: Path, target: str, killer: Killer, max_attempts: int) -> None:
    retries = bk.Retries(first_seconds=0.01, longest_seconds=0.05, total_seconds=2)
    client = bk.Vertex(retries=retries) if "://" in target else bk.Gemini(retries=retries)
    options: dict[str, Any] = {"target": target, "limits": {"max_rows": 4}, "client": client}
    table, into = folder / "table.parquet", folder / "run"
    built = bk.build(table, SPEC, key="id", into=into, on_bad_key="reject", **options)
    run = bk.Run(built.folder, observe=[killer])
    while True:
        bk.submit(run, client=client, settle_seconds=SETTLE_SECONDS)
        bk.wait(run, client=client, poll_seconds=0.05, settle_seconds=SETTLE_SECONDS)
        again = bk.retry(run, client=client, max_attempts=max_attempts)
        if not again.rows:
            break
    bk.collect(run, client=client).to_parquet(into / "out.parquet")
