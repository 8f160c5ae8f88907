from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import requests

from batchkit.emulator import Clock, serve

from .client import Address, Client, generate_line, send_chunk
from .conftest import START

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.emulator import Emulator

PROCESS = """
import sys, time
from batchkit.emulator import serve
emulator = serve(folder=sys.argv[1], pending_seconds=3600, job_seconds=3600)
print(emulator.url, flush=True)
time.sleep(600)
"""


@contextlib.contextmanager
def killed_process(folder: Path) -> Any:
    """The URL of an emulator in a process that is killed at the end of the block."""
    command = [sys.executable, "-c", PROCESS, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own interpreter
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            os.kill(process.pid, signal.SIGKILL)


def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    with killed_process(tmp_path) as url:
        client = Client(Address(url))
        kept = client.upload(b'{"key": "a", "request": {}}\n', display_name="kept")
        deleted = client.upload(b"x")
        client.call("DELETE", deleted["name"])
        session = client.start_upload(6)
        send_chunk(session, 0, b"abc", "upload")
        job = client.create_from_lines([generate_line("a"), generate_line("b")])
        inline = client.create_inline([{"request": generate_line("c")["request"]}])
        cancelled = client.create_inline([{"request": generate_line("c")["request"]}])
        client.call("POST", f"{cancelled['name']}:cancel")
        client.send("POST", "/_emulator/clock", json={"advance": 1000})
        client.session.close()
    with serve(folder=tmp_path, clock=Clock()) as emulator:
        client = Client(emulator)
        assert client.call("GET", kept["name"])["sha256Hash"] == kept["sha256Hash"]
        assert client.refused("GET", deleted["name"])["code"] == 403
        assert client.get(job)["metadata"]["batchStats"]["requestCount"] == "2"
        assert client.state(cancelled) == "CANCELLED"
        emulator.clock.advance(3600 * 2 - 900)  # the other 1000 s were before the kill
        assert {line["key"] for line in client.output(job)} == {"a", "b"}
        assert client.state(inline) == "SUCCEEDED"
        rest = session.replace(session.split("/upload")[0], emulator.url)
        reply = send_chunk(rest, 3, b"def", "upload, finalize")
        assert reply.json()["file"]["sizeBytes"] == "6"
        assert emulator.stats()["requests"] == {"a": 1, "b": 1, "": 1}
        client.session.close()


def test_a_job_interrupted_by_a_kill_is_paid_once(tmp_path: Path) -> None:
    with killed_process(tmp_path) as url:
        client = Client(Address(url))
        lines = [generate_line(str(number)) for number in range(20_000)]
        job = client.create_from_lines(lines)
        client.send("POST", "/_emulator/clock", json={"advance": 7200})
        with contextlib.suppress(requests.RequestException):
            requests.get(
                f"{url}/v1beta/{job['name']}?key=emulator-key", timeout=0.05
            )  # gives up while rows are being answered
        client.session.close()
    with serve(folder=tmp_path) as emulator:
        client = Client(emulator)
        assert len(client.output(job)) == 20_000
        assert set(emulator.stats()["requests"].values()) == {1}
        client.session.close()


def test_identifiers_go_on_after_a_restart(tmp_path: Path) -> None:
    names: list[str] = []
    for _ in range(3):
        with serve(folder=tmp_path, seed=5) as emulator:
            client = Client(emulator)
            names.append(client.upload(b"x")["name"])
            names.append(client.create_from_lines([generate_line("a")])["name"])
            client.session.close()
    assert len(set(names)) == 6


def test_everything_follows_from_the_seed() -> None:
    def everything(seed: int) -> list[Any]:
        with serve(seed=seed, clock=Clock(START)) as emulator:
            client = Client(emulator)
            job = client.create_from_lines([generate_line(str(number)) for number in range(30)])
            seen = [job, client.get(job), client.output(job)]
            client.session.close()
        return json.loads(json.dumps(seen))

    assert everything(7) == everything(7) != everything(8)


def test_blobs_nobody_needs_are_swept_at_a_start(tmp_path: Path) -> None:
    with serve(folder=tmp_path) as emulator:
        client = Client(emulator)
        job = client.create_inline([{"request": generate_line("a")["request"]}])
        client.get(job)
        client.upload(b"x")
        client.session.close()
    blobs = tmp_path / "blobs"
    needed = {path.name for path in blobs.iterdir()}
    (blobs / "job-half-done.output").write_bytes(b"x")
    with serve(folder=tmp_path) as emulator:
        assert {path.name for path in blobs.iterdir()} == needed
        client = Client(emulator)
        assert client.state(job) == "SUCCEEDED"
        client.session.close()


def test_a_finished_job_leaves_nothing_but_its_files(tmp_path: Path) -> None:
    with serve(folder=tmp_path) as emulator:
        client = Client(emulator)
        for lines in ([generate_line("a")], [{"nonsense": 1}]):
            client.get(client.create_from_lines(lines))
        for file in client.call("GET", "files")["files"]:
            if file["source"] == "UPLOADED":
                client.call("DELETE", file["name"])
        (output,) = (tmp_path / "blobs").iterdir()
        assert output.name.endswith(".output")
        client.session.close()


def test_a_temporary_folder_goes_with_the_emulator() -> None:
    with serve() as emulator:
        folder = emulator.folder
        assert (folder / "state.sqlite").exists()
    assert not folder.exists()


def test_the_environment_points_official_clients_here(emulator: Emulator) -> None:
    assert emulator.environment == {
        "GOOGLE_GEMINI_BASE_URL": emulator.url,
        "GEMINI_API_KEY": "emulator-key",
        "GOOGLE_API_KEY": "",
        "GOOGLE_GENAI_USE_VERTEXAI": "false",
        "GOOGLE_GENAI_USE_ENTERPRISE": "false",
        "STORAGE_EMULATOR_HOST": emulator.url,
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        "GOOGLE_APPLICATION_CREDENTIALS": str(emulator.folder / "credentials.json"),
        "GOOGLE_VERTEX_BASE_URL": emulator.url,
        "GOOGLE_CLOUD_PROJECT": "emulator-project",
        "GOOGLE_CLOUD_LOCATION": "us-central1",
    }


def test_a_port_can_be_chosen_and_used_again() -> None:
    with serve() as emulator:
        port = int(emulator.url.rpartition(":")[2])
    with serve(port) as emulator:
        client = Client(emulator)
        assert client.call("GET", "files") == {}
        client.session.close()


def test_closing_twice_is_no_error() -> None:
    emulator = serve()
    emulator.close()
    emulator.close()
