from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import requests

from batchkit.emulator import Clock, serve

from .client import Address, Client, generate_line, send_chunk
from .conftest import START
from .mortal import HOUR, Mortal

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.emulator import Emulator


def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    with Mortal(tmp_path) as mortal:
        client = Client(Address(mortal.url))
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
    with Mortal(tmp_path) as mortal:
        client = Client(Address(mortal.url))
        lines = [generate_line(str(number)) for number in range(20_000)]
        job = client.create_from_lines(lines)
        client.send("POST", "/_emulator/clock", json={"advance": 7200})
        with contextlib.suppress(requests.RequestException):
            requests.get(
                f"{mortal.url}/v1beta/{job['name']}?key=emulator-key", timeout=0.05
            )  # gives up while rows are being answered
        client.session.close()
    with serve(folder=tmp_path) as emulator:
        client = Client(emulator)
        assert len(client.output(job)) == 20_000
        assert set(emulator.stats()["requests"].values()) == {1}
        client.session.close()


# Four of an upload, three jobs created and one cancelled, three and two rows, two ends, a deletion.
EVENTS = 16
LINES = [generate_line(key, f"text of {key}") for key in ("a", "b", "c")]
DATA = b"".join(json.dumps(line).encode() + b"\n" for line in LINES)
INLINE = {
    "requests": {
        "requests": [
            {"request": line["request"], "metadata": {"key": f"inline {line['key']}"}}
            for line in LINES[:2]
        ]
    }
}


def finish_upload(url: str, client: Client) -> None:
    """Send what is missing of a file to an upload that may have been cut, in two chunks."""
    url = f"{client.url}{url[url.index('/upload') :]}"
    reply = send_chunk(url, 0, b"", "query")
    while reply.headers["x-goog-upload-status"] == "active":
        start = int(reply.headers["x-goog-upload-size-received"])
        piece, command = (DATA[start:], "upload, finalize") if start else (DATA[:99], "upload")
        reply = send_chunk(url, start, piece, command)


def find_or_create(source: dict[str, Any], name: str, client: Client) -> dict[str, Any]:
    for operation in client.call("GET", "batches").get("operations", []):
        if operation["metadata"]["displayName"] == name:
            return operation
    return client.create(source, displayName=name)


def journey(mortal: Mortal) -> list[Any]:
    """All that an emulator keeps, by a client that goes on when it has died; what came of it."""
    url = mortal.until_done(lambda client: client.start_upload(len(DATA), name="mine"))
    mortal.until_done(functools.partial(finish_upload, url))
    sources = {"file": {"fileName": "files/mine"}, "inline": INLINE, "stopped": INLINE}
    jobs = {
        name: mortal.until_done(functools.partial(find_or_create, source, name))
        for name, source in sources.items()
    }
    mortal.until_done(lambda client: client.call("POST", f"{jobs['stopped']['name']}:cancel"))
    hours = {"advance": 3 * HOUR}
    mortal.until_done(lambda client: client.send("POST", "/_emulator/clock", json=hours))
    seen = [
        mortal.until_done(lambda client: client.state(jobs["stopped"])),
        mortal.until_done(lambda client: client.output(jobs["file"])),
        mortal.until_done(lambda client: client.get(jobs["inline"])["response"]),
    ]
    mortal.until_done(lambda client: client.send("DELETE", f"/v1beta/{jobs['inline']['name']}"))
    return seen


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    with Mortal(tmp_path_factory.mktemp("undisturbed"), die_at=EVENTS + 1) as mortal:
        seen = journey(mortal)
    assert mortal.deaths == 0
    return seen


@pytest.mark.parametrize("die_at", range(1, EVENTS + 1))
def test_killed_at_any_event_it_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, undisturbed: list[Any], die_at: int
) -> None:
    with Mortal(tmp_path, die_at) as mortal:
        assert journey(mortal) == undisturbed
    assert mortal.deaths == 1
    with serve(folder=tmp_path) as emulator:
        stats = emulator.stats()
        assert stats["requests"] == dict.fromkeys(("a", "b", "c", "inline a", "inline b"), 1)
        assert stats["jobs"] == {"BATCH_STATE_SUCCEEDED": 1, "BATCH_STATE_CANCELLED": 1}
        client = Client(emulator)
        output, mine = client.call("GET", "files")["files"]
        blobs = {path.stat().st_size: path.read_bytes() for path in (tmp_path / "blobs").iterdir()}
        assert {str(size) for size in blobs} == {output["sizeBytes"], mine["sizeBytes"]}
        assert blobs[len(DATA)] == DATA
        digest = hashlib.sha256(blobs[int(output["sizeBytes"])]).hexdigest()
        assert base64.b64decode(output["sha256Hash"]).decode() == digest
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
        "CLOUD_STORAGE_EMULATOR_ENDPOINT": emulator.url,
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


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    with serve(folder=tmp_path) as emulator:
        client = Client(emulator)
        job = client.create_from_lines([generate_line("a")])
        with pytest.raises(BlockingIOError, match="in use"):
            serve(folder=tmp_path)
        assert client.state(job) == "SUCCEEDED"
        client.session.close()


def test_an_emulator_that_cannot_start_lets_go_of_its_folder(tmp_path: Path) -> None:
    with serve() as emulator:
        port = int(emulator.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            serve(port, folder=tmp_path)
        serve(folder=tmp_path).close()


BYTES = """
import datetime as dt, sys
import requests
from batchkit.emulator import Clock, serve

def said(method, path, body=None):
    sys.stdout.write(requests.request(method, url + path, json=body, headers=key).text)

def requested(number):
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in "abc"}}
    config = {"responseMimeType": "application/json", "responseJsonSchema": schema}
    parts = [{"text": f"text {number}"}]
    return {"contents": [{"parts": parts}], "generationConfig": config}

with serve(seed=3, clock=Clock(dt.datetime(2026, 1, 6, tzinfo=dt.UTC))) as emulator:
    url, key = emulator.url + "/v1beta/", {"x-goog-api-key": emulator.api_key}
    items = [{"request": requested(n), "metadata": {"key": str(n)}} for n in range(20)]
    texts = [{"request": {"content": {"parts": [{"text": f"a b {n}"}]}}} for n in range(5)]
    for model, rows in [
        ("models/gemini-3.8-flash:batchGenerateContent", items),
        ("models/gemini-embedding-001:asyncBatchEmbedContent", texts),
    ]:
        said("POST", model, {"batch": {"inputConfig": {"requests": {"requests": rows}}}})
    for operation in requests.get(url + "batches", headers=key).json()["operations"]:
        said("GET", operation["name"])
    part = {"text": "x", "fileData": {}, "inlineData": {}, "functionCall": {"name": "f"}}
    body = {"contents": [{"parts": [part]}], "x": 1, "y": 2}
    said("POST", "models/gemini-3.8-flash:generateContent", body)
    said("POST", "models/gemini-3.8-flash:generateContent", {"contents": body["contents"]})
    said("GET", "models")
    print(emulator.stats())
"""


def test_the_same_requests_are_answered_with_the_same_bytes_in_any_process() -> None:
    said = [
        subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", BYTES],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        )
        for hash_seed in ("1", "2")
    ]
    assert said[0].stdout == said[1].stdout
    assert len(said[0].stdout) > 100_000
    assert said[0].stderr == said[1].stderr == b""
