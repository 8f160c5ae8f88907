"""The process: starts the service, says where it answers, and ends with whoever started it."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from bqemulator.config import LogLevel, PersistenceMode, Settings
from bqemulator.server import EmulatorServer

from .objects import Objects
from .service import amend

__all__ = ["main"]

_GRACE_SECONDS = 5
_GARBAGE = 100_000  # objects, before any is looked for
_LARGEST_UPLOAD = 10 * 1024**3


def main() -> None:
    """Serve until standard input ends or a signal comes."""
    options = _arguments()
    with tempfile.TemporaryDirectory(prefix="batchkit-bigquery-") as scratch:
        amend(Objects(Path(scratch)))
        # What is loaded stays, and syntax trees are many objects at once.
        gc.freeze()
        gc.set_threshold(_GARBAGE)
        asyncio.run(_serve(_settings(options.folder, Path(scratch)), options.announce))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="_amended", description=__doc__)
    parser.add_argument(
        "--needs", action="append", default=[], help="name==version; checked before"
    )
    parser.add_argument("--announce", type=int, required=True, help="descriptor for the address")
    parser.add_argument("--folder", help="keep tables and jobs here")
    return parser.parse_args()


def _settings(folder: str | None, scratch: Path) -> Settings:
    return Settings(
        rest_port=0,
        grpc_port=0,
        persistence_mode=PersistenceMode.PERSISTENT if folder else PersistenceMode.EPHEMERAL,
        data_dir=Path(folder) if folder else None,
        enable_format_extensions=False,  # they are downloaded
        upload_staging_dir=scratch / "uploads",
        upload_max_bytes=_LARGEST_UPLOAD,
        log_level=LogLevel.ERROR,
    )


async def _serve(settings: Settings, announcing: int) -> None:
    server = EmulatorServer(settings)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await server.start()
    with os.fdopen(announcing, "w", encoding="utf-8") as stream:
        json.dump({"rest_port": server.rest_port, "grpc_port": server.grpc_port}, stream)
        stream.write("\n")
    threading.Thread(target=_await_starter, args=(loop, ended), daemon=True).start()
    await ended.wait()
    await server.stop()


def _await_starter(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """Standard input ends with the process that holds its other end, however that dies."""
    sys.stdin.buffer.read()
    loop.call_soon_threadsafe(ended.set)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)  # a statement is still running, for nobody
