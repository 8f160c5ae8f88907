"""The command line at work: in a process of its own, or in this one where that adds nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batchkit.cli import batchkit
from batchkit.cli.outcome import ended

if TYPE_CHECKING:
    from tests.conftest import Service

BATCHKIT = str(Path(sys.executable).parent / "batchkit")
REVIEWS = """\
id,text
k0,warm and thin
k1,it smells
k2,the lid pops open
k3,fine
"""


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one line on standard output."""
        (line,) = self.out.removesuffix("\n").split("\n")
        return json.loads(line)

    @property
    def error(self) -> str:
        """What went wrong, in one message, and no traceback."""
        assert "Traceback" not in self.err
        return re.split(r"^Error: ", self.err, flags=re.MULTILINE)[-1]


Command = Callable[..., Said]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands work: a folder with a table, and no account in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GEMINI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "reviews.csv").write_text(REVIEWS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def account(folder: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The environment of commands leads to an emulator."""
    assert folder.is_dir()
    for name, value in service.emulator.environment.items():
        monkeypatch.setenv(name, value)
    return service


@pytest.fixture
def say(folder: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """Give a command in this process."""
    assert folder.is_dir()

    def give(*words: str) -> Said:
        capfd.readouterr()
        code = ended(
            lambda: batchkit.main(list(words), prog_name="batchkit", standalone_mode=False)
        )
        return Said(code, *capfd.readouterr())

    return give


def process(*words: str, stdin: bytes | None = None, **environment: str) -> Said:
    """Give a command in a process of its own, in the folder and environment of the test."""
    done = subprocess.run(  # noqa: S603
        [BATCHKIT, *words],
        input=b"" if stdin is None else stdin,
        capture_output=True,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


def started(*words: str) -> subprocess.Popen[str]:
    """A command that is still at it."""
    # pytest may be run with SIGINT ignored, as a job in the background is.
    return subprocess.Popen(  # noqa: S603
        [BATCHKIT, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )


def documented_fields(help_text: str) -> set[str]:
    """The names under "Fields of --json" in a help text."""
    return set(
        re.findall(r"^ {4}(\w+) {2}", help_text.partition("Fields of --json:")[2], re.MULTILINE)
    )
