from __future__ import annotations

import json
import os
import shlex
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
def emulating(
    *words: str, exports: int = 12
) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """An emulator in a process of its own, and the variables that it prints."""
    command = started("emulate", "--port", "0", "--job-seconds", "0", *words)
    assert command.stdout is not None
    lines = [command.stdout.readline().rstrip("\n") for _ in range(exports)]
    said = [line.removeprefix("export ").partition("=") for line in lines]
    try:
        yield command, {name: value for name, _, value in said}
    finally:
        command.kill()
        command.communicate(timeout=20)


def test_the_emulator_is_told_what_goes_wrong(tmp_path: Path) -> None:
    faults = ["--fault", "drop,share=0.5", "--fault", "refuse,on=list"]
    with emulating(*faults) as (_, variables):
        url = variables["GOOGLE_GEMINI_BASE_URL"]
        client = bk.Gemini(variables["GEMINI_API_KEY"], base_url=url)
        spec = bk.generate("gemini-3.8-flash", "{text}")
        results = bk.run([{"text": "a"}] * 4, spec, into=tmp_path / "run", client=client)
    assert {status: n for status, n in results.tally().items() if n} == {"ok": 2, "missing": 2}


def test_a_fault_that_there_is_not_is_refused(say: Command) -> None:
    said = say("emulate", "--fault", "explode")
    assert said.code == 2
    assert "Invalid value for '--fault': 'explode' is no fault; there are refuse" in said.error


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
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GOOGLE_VERTEX_BASE_URL",
            "GOOGLE_CLOUD_PROJECT",
            "GOOGLE_CLOUD_LOCATION",
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


def test_a_folder_with_a_space_is_quoted_in_the_exports(tmp_path: Path) -> None:
    folder = tmp_path / "a state"
    with emulating("--folder", str(folder)) as (_, variables):
        exported = variables["GOOGLE_APPLICATION_CREDENTIALS"]
    assert shlex.split(exported) == [str(folder / "credentials.json")]


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


def test_bigquery_is_served_beside_the_rest(
    bigquery_python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHKIT_BIGQUERY_PYTHON", bigquery_python)
    command = started("emulate", "--port", "0", "--bigquery")
    assert command.stderr is not None
    command.stderr.readline()  # what follows the exports
    command.terminate()
    out, _ = command.communicate(timeout=20)
    said = dict(line.removeprefix("export ").split("=", 1) for line in out.strip().split("\n"))
    assert said["GOOGLE_CLOUD_PROJECT"] == "emulator-project"
    assert said["BIGQUERY_EMULATOR_HOST"].startswith("http://127.0.0.1:")
    assert said["BIGQUERY_STORAGE_EMULATOR_HOST"].startswith("127.0.0.1:")
    assert said["STORAGE_EMULATOR_HOST"] == said["GOOGLE_GEMINI_BASE_URL"]


@pytest.mark.filterwarnings("ignore:Retrieving Arrow:PendingDeprecationWarning")
def test_jobs_of_vertex_ai_write_to_the_bigquery_that_is_served(
    bigquery_python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415  # slow to load
    from google.cloud import bigquery  # noqa: PLC0415  # slow to load

    monkeypatch.setenv("BATCHKIT_BIGQUERY_PYTHON", bigquery_python)
    request = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    with emulating("--bigquery", "--pending-seconds", "0", exports=14) as (_, variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        vertex = bk.Vertex()
        with bigquery.Client(credentials=AnonymousCredentials()) as client:
            dataset = bigquery.Dataset(f"{vertex.project}.d")
            dataset.location = vertex.location
            client.create_dataset(dataset)
            rows = [{"key": "a", "request": json.dumps(request)}]
            client.load_table_from_json(rows, f"{vertex.project}.d.requests").result()
        source = f"bq://{vertex.project}.d.requests"
        job = vertex.batches.create(
            "gemini-3.5-flash", bigquery_uri=source, destination=f"bq://{vertex.project}.d"
        )
        (response,) = vertex.batches.get_responses(vertex.batches.wait(job))
    assert (response.key, response.text) == ("a", "Echo: hi")


def test_bigquery_that_is_not_installed_is_one_error() -> None:
    said = process("emulate", "--port", "0", "--bigquery", "--bigquery-python", "/nowhere/python")
    assert said.code == 1
    assert said.err.startswith("Error: there is no interpreter '/nowhere/python'")
    assert said.out == ""
