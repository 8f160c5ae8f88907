"""Finds bqemulator, starts it in a process of its own, and stops it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["INSTALL", "BigQuery", "StartError", "python_with_bqemulator", "serve"]

# Its answers follow from DuckDB's version as much as from its own.
_VERSIONS = {"bqemulator": "1.4.0", "duckdb": "2.0.0"}
INSTALL = (
    f"uv tool install bqemulator=={_VERSIONS['bqemulator']} "
    f"--with duckdb=={_VERSIONS['duckdb']} --with numpy"
)
_START_SECONDS = 90
_STOP_SECONDS = 10
_LOG_BYTES = 2000
# What is on this machine is not asked for through a proxy.
_OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class StartError(RuntimeError):
    """No bqemulator was found, or it did not start; the message says what to do."""


class BigQuery:
    """A running stand-in; leaving its `with` block, or `close`, stops it, as does the end of this.

    `rest_url` is where it answers, `grpc_address` where its Storage API does, in plain text.
    """

    def __init__(self, command: list[str], project: str) -> None:
        self._project = project
        with contextlib.ExitStack() as opened:
            log = opened.enter_context(tempfile.TemporaryFile())
            receiving, announcing = os.pipe()
            line = opened.enter_context(os.fdopen(receiving, "rb"))
            self._process = _started([*command, "--announce", str(announcing)], announcing, log)
            os.close(announcing)
            opened.callback(self._stop)
            address = self._address(line)
            if address is None:
                log.seek(0)
                said = log.read()[-_LOG_BYTES:].decode(errors="replace").strip()
                message = f"bqemulator did not start ({command[0]}): {said or 'it said nothing'}"
                raise StartError(message)
            self.rest_url: str = f"http://127.0.0.1:{address['rest_port']}"
            self.grpc_address: str = f"127.0.0.1:{address['grpc_port']}"
            self._opened = opened.pop_all()

    def use_storage(self, url: str | None) -> None:
        """Have gs:// mean the Cloud Storage emulator at this URL; None: no longer any."""
        request = urllib.request.Request(  # noqa: S310  # our own address
            f"{self.rest_url}/_emulator/storage",
            json.dumps({"url": url}).encode(),
            {"Content-Type": "application/json"},
        )
        with _OPEN(request, timeout=_STOP_SECONDS):
            pass

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point clients here.

        Google's client knows the first, and needs a project. No library of Google's knows a
        variable for the Storage API: BIGQUERY_STORAGE_EMULATOR_HOST is ours.
        """
        return {
            "BIGQUERY_EMULATOR_HOST": self.rest_url,
            "BIGQUERY_STORAGE_EMULATOR_HOST": self.grpc_address,
            "GOOGLE_CLOUD_PROJECT": self._project,
        }

    def close(self) -> None:
        """Stop it; without a folder everything in it is gone."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _address(self, stream: IO[bytes]) -> dict[str, int] | None:
        """The ports, from the line it writes when it answers; None when it ends before."""
        giving_up = threading.Timer(_START_SECONDS, self._process.kill)
        giving_up.start()
        try:
            line = stream.readline()
        finally:
            giving_up.cancel()
        return json.loads(line) if line else None

    def _stop(self) -> None:
        """Close its standard input, which it takes for our end."""
        try:
            self._process.communicate(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def serve(
    *,
    python: str | None = None,
    folder: str | Path | None = None,
    storage_url: str | None = None,
    project: str = "emulator-project",
) -> BigQuery:
    """Start a stand-in for BigQuery on free ports of this machine; StartError when it cannot.

    `python` is the interpreter that has bqemulator; without it this interpreter, or that of the
    `bqemulator` command, is taken. With a `folder` tables and jobs are there after a restart.
    `storage_url` is the Cloud Storage emulator that gs:// means. `project` is only a name: every
    project exists.
    """
    command = [python_with_bqemulator(python), "-m", "_amended"]
    for name, version in _VERSIONS.items():
        command += ["--needs", f"{name}=={version}"]
    if folder:
        command += ["--folder", str(Path(folder).absolute())]
    started = BigQuery(command, project)
    if storage_url:
        started.use_storage(storage_url)
    return started


def python_with_bqemulator(given: str | None) -> str:
    """The interpreter to start it with: the one that is given, this one, or the command's."""
    if given:
        found = shutil.which(given)
        if found is None:
            message = f"there is no interpreter {given!r} to start bqemulator with"
            raise StartError(message)
        return found
    if importlib.util.find_spec("bqemulator"):
        return sys.executable
    command = shutil.which("bqemulator")
    if command:
        # The command may be a link out of the environment that it belongs to.
        for name in ("python3", "python"):
            beside = Path(command).resolve().with_name(name)
            if beside.exists():
                return str(beside)
    message = (
        f"BigQuery needs bqemulator, in an environment of its own: `{INSTALL}`, or name the "
        "interpreter that has it in BATCHKIT_BIGQUERY_PYTHON"
    )
    raise StartError(message)


def _started(command: list[str], announcing: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """The process, in a session of its own: a Ctrl-C on the terminal is for us alone."""
    return subprocess.Popen(  # noqa: S603  # an interpreter that the user named or installed
        command,
        cwd=Path(__file__).parent,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        pass_fds=[announcing],
        start_new_session=True,
    )
