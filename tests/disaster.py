"""Processes to which something happens while they write: a full disk, a closed door, a kill."""

from __future__ import annotations

import os
import resource
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import batchkit as bk
from batchkit.durable import create_once, whole_file, write_whole
from batchkit.errors import RunHeldError
from batchkit.tables.written import write_csv, write_jsonl, write_parquet
from tests.driver import FORKS, drive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NOBODY = 65_534
FULL = 28  # ENOSPC
HELD = 16  # EBUSY
_WRITERS = {
    "parquet": lambda rows, path: write_parquet(rows, path, may_replace=True),
    "csv": write_csv,
    "jsonl": write_jsonl,
}


def rows(count: int, die_after: int | None = None) -> pa.RecordBatchReader:
    """Batches of texts that do not compress; the process kills itself before one of them."""
    schema = pa.schema([("text", pa.string())])

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(count):
            if number == die_after:
                os.kill(os.getpid(), signal.SIGKILL)
            texts = [os.urandom(50).hex() for _ in range(1_000)]
            yield pa.record_batch({"text": texts}, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def write_on_a_full_disk(kind: str, path: str) -> None:
    """Exit with 0 when the write fails as it does where no byte more fits."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    _expect(OSError, lambda: _WRITERS[kind](rows(20), path))


def write_where_it_may_not(kind: str, path: str) -> None:
    """Exit with 0 when the write is not permitted; root may write anywhere, nobody may not."""
    if os.geteuid() == 0:
        os.seteuid(_NOBODY)
    _expect(PermissionError, lambda: _WRITERS[kind](rows(1), path))


def write_and_die(kind: str, path: str) -> None:
    """Be killed with half of the rows written."""
    _WRITERS[kind](rows(200, die_after=150), path)


def _expect(error: type[OSError], write: Callable[[], Any]) -> None:
    try:
        write()
    except error:
        os._exit(0)
    os._exit(1)


def exit_code(function: Callable[..., None], *arguments: Any) -> int | None:
    """How a process ends that runs this function."""
    process = FORKS.Process(target=function, args=arguments)
    process.start()
    process.join(60)
    return process.exitcode


def open_folder() -> Path:
    """A folder that everybody can reach and only its owner can write to."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    return folder


def create_many(folder: str, name: str, count: int) -> None:
    """Try to be the one who creates each of some files."""
    for number in range(count):
        create_once(Path(folder) / f"{number:03d}", (name * 20_000).encode())


def write_over_and_over(path: str, name: str, times: int) -> None:
    """Replace one file again and again."""
    for _ in range(times):
        write_whole(Path(path), (name * 20_000).encode())


def write_slowly(path: str, ready: Any) -> None:
    """Begin a file, say so, and end it when that is taken back."""
    with whole_file(Path(path)) as file:
        file.write(b"half")
        ready.set()
        while ready.is_set():
            time.sleep(0.005)


def fill_the_disk(folder: str) -> None:
    """Exit with 0 when no file can be written any more, in either way."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    content = bytes(50_000)
    for write in (write_whole, create_once):
        try:
            write(Path(folder) / "file", content)
        except OSError:
            continue
        os._exit(1)
    os._exit(0)


def drive_with_small_files(table: str, target: str, service: tuple[str, str], most: int) -> None:
    """Take a table through a run where no file may grow beyond so many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    try:
        drive(table, target, service)
    except OSError:
        os._exit(FULL)
    os._exit(0)


def drive_or_be_told(table: str, target: str, service: tuple[str, str]) -> None:
    """Exit with HELD when another driver holds the run, and is named."""
    try:
        drive(table, target, service)
    except RunHeldError as error:
        os._exit(HELD if " pid " in error.holder else 1)
    os._exit(0)


class DyingEngine:
    """An engine that kills its process when it has run so many tasks."""

    def __init__(self, tasks: int) -> None:
        self._left = tasks

    def map(self, function: Any, tasks: Any) -> Any:
        for task in tasks:
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1
            yield function(task)


def collect_and_die(folder: str, tasks: int) -> None:
    """Collect a run, and be killed after some of its response files."""
    bk.collect(folder, engine=DyingEngine(tasks))
