from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import batchkit as bk
from tests.cli.conftest import Command, process, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def emulating(*words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """An emulator in a process of its own, and the variables that it prints."""
    command = started("emulate", "--port", "0", "--job-seconds", "0", *words)
    assert command.stdout is not None
    lines = [command.stdout.readline().rstrip("\n") for _ in range(8)]
    exports = [line.removeprefix("export ").partition("=") for line in lines]
    try:
        yield command, {name: value for name, _, value in exports}
    finally:
        command.kill()
        command.communicate(timeout=20)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_emulator_prints_its_exports_and_serves_until_it_is_stopped(
    tmp_path: Path, stop: int
) -> None:
    with emulating() as (command, variables):
        assert list(variables) == [
            "GOOGLE_GEMINI_BASE_URL",
            "GEMINI_API_KEY",
            "GOOGLE_API_KEY",
            "GOOGLE_GENAI_USE_VERTEXAI",
            "GOOGLE_GENAI_USE_ENTERPRISE",
            "STORAGE_EMULATOR_HOST",
            "CLOUD_STORAGE_EMULATOR_ENDPOINT",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT",
        ]
        url = variables["GOOGLE_GEMINI_BASE_URL"]
        client = bk.Gemini(variables["GEMINI_API_KEY"], base_url=url)
        spec = bk.generate("gemini-3.8-flash", "{text}")
        results = bk.run([{"text": "hi"}], spec, into=tmp_path / "run", client=client)
        assert results.tally()["ok"] == 1
        command.send_signal(stop)
        out, err = command.communicate(timeout=20)
    assert (command.returncode, out) == (0, "")
    assert err == f"# serving on {url}; stop with Ctrl-C\nstopped\n"


def test_the_exports_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    with emulating("--folder", str(tmp_path / "state")) as (_, variables):
        pasted = "".join(f"export {name}={value}\n" for name, value in variables.items())
        done = subprocess.run(  # noqa: S603
            ["/bin/sh", "-c", f"{pasted} env"],
            capture_output=True,
            text=True,
            check=True,
            env={"GOOGLE_API_KEY": "mine"},
        )
    assert set(done.stdout.split("\n")) >= {f"{name}={value}" for name, value in variables.items()}


def test_what_is_in_its_folder_survives_being_killed(tmp_path: Path) -> None:
    folder = str(tmp_path / "state")
    (tmp_path / "file").write_bytes(b"content")
    with emulating("--folder", folder) as (command, variables):
        client = bk.Gemini("emulator-key", base_url=variables["GOOGLE_GEMINI_BASE_URL"])
        name = client.files.upload(tmp_path / "file").name
        command.kill()
    with emulating("--folder", folder) as (_, variables):
        client = bk.Gemini("emulator-key", base_url=variables["GOOGLE_GEMINI_BASE_URL"])
        assert client.files.get(name).bytes == len(b"content")


def test_a_folder_has_one_emulator_at_a_time(say: Command, folder: Path) -> None:
    with emulating("--folder", str(folder / "state")):
        said = say("emulate", "--port", "0", "--folder", "state")
    assert said.code == 1
    assert said.error == "state is in use by another emulator: wait for it, or use another folder\n"


def test_a_port_that_is_taken_is_named(say: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = say("emulate", "--port", str(port))
    assert said.code == 1
    assert said.error == f"port {port}: {os.strerror(98)}; --port 0 picks a free one\n"


def test_a_folder_that_holds_something_else_is_named(say: Command, folder: Path) -> None:
    (folder / "state").mkdir()
    (folder / "state/state.sqlite").write_bytes(b"not a database, but a text that is long enough")
    said = process("emulate", "--port", "0", "--folder", "state")
    assert said.code == 1
    assert said.error.startswith("state holds no state that this emulator can read")
    assert say("emulate", "--folder", "reviews.csv").code == 2


@pytest.mark.parametrize(
    "option", [("--port", "65536"), ("--job-seconds", "-1"), ("--pending-seconds", "nan")]
)
def test_numbers_that_make_no_sense_are_refused(say: Command, option: tuple[str, str]) -> None:
    said = say("emulate", *option)
    assert (said.code, option[0] in said.error) == (2, True)
