from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import time

import pytest
import requests

from batchkit.emulator import Limits, serve

from .client import Client, send_chunk

START = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}


def query(url: str) -> requests.Response:
    headers = {"X-Goog-Upload-Command": "query"}
    return requests.post(url, headers=headers, timeout=60)


def test_an_upload_in_chunks_becomes_one_file(client: Client) -> None:
    url = client.start_upload(11, display_name="greeting")
    first = send_chunk(url, 0, b"hello ", "upload")
    assert first.headers["x-goog-upload-status"] == "active"
    assert first.headers["x-goog-upload-size-received"] == "6"
    last = send_chunk(url, 6, b"world", "upload, finalize")
    assert last.headers["x-goog-upload-status"] == "final"
    file = last.json()["file"]
    assert file["displayName"] == "greeting"
    assert file["sizeBytes"] == "11"
    assert file["mimeType"] == "application/jsonl"
    digest = hashlib.sha256(b"hello world").hexdigest()
    assert base64.b64decode(file["sha256Hash"]).decode() == digest


def test_finalize_may_come_alone(client: Client) -> None:
    url = client.start_upload(3)
    send_chunk(url, 0, b"abc", "upload")
    assert send_chunk(url, 3, b"", "finalize").json()["file"]["sizeBytes"] == "3"


@pytest.mark.parametrize("offset", [0, 2, 4, 100, -1])
def test_a_wrong_offset_is_refused_and_changes_nothing(client: Client, offset: int) -> None:
    url = client.start_upload(6)
    send_chunk(url, 0, b"abc", "upload")
    reply = send_chunk(url, offset, b"XYZ", "upload, finalize")
    assert reply.status_code == 400
    assert "x-goog-upload-status" not in reply.headers
    assert query(url).headers["x-goog-upload-size-received"] == "3"
    assert send_chunk(url, 3, b"def", "upload, finalize").status_code == 200


def test_a_cut_connection_keeps_what_arrived_and_can_be_resumed(client: Client) -> None:
    url = client.start_upload(300_000)
    host, port = client.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        path = url.removeprefix(client.url)
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n"
        head += "X-Goog-Upload-Command: upload, finalize\r\nX-Goog-Upload-Offset: 0\r\n\r\n"
        wire.sendall(head.encode() + b"a" * 100_000)
    deadline = time.monotonic() + 10
    while (reply := query(url)).headers["x-goog-upload-size-received"] != "100000":
        assert time.monotonic() < deadline
    assert reply.headers["x-goog-upload-status"] == "active"
    reply = send_chunk(url, 100_000, b"b" * 200_000, "upload, finalize")
    digest = hashlib.sha256(b"a" * 100_000 + b"b" * 200_000).hexdigest()
    assert base64.b64decode(reply.json()["file"]["sha256Hash"]).decode() == digest


def test_a_finished_session_tells_its_file_and_takes_no_more(client: Client) -> None:
    url = client.start_upload(3)
    file = send_chunk(url, 0, b"abc", "upload, finalize").json()
    reply = query(url)
    assert reply.headers["x-goog-upload-status"] == "final"
    assert reply.json() == file
    again = send_chunk(url, 0, b"abc", "upload, finalize")
    assert again.status_code == 400
    assert again.json()["error"]["message"] == "Upload has already been terminated."
    assert len(client.call("GET", "files")["files"]) == 1


def test_a_cancelled_session_is_over(client: Client) -> None:
    url = client.start_upload(3)
    assert send_chunk(url, 0, b"", "cancel").headers["x-goog-upload-status"] == "cancelled"
    assert send_chunk(url, 0, b"abc", "upload, finalize").status_code == 400
    assert query(url).headers["x-goog-upload-status"] == "cancelled"


@pytest.mark.parametrize("data", [b"ab", b"abcd"])
def test_the_declared_length_is_binding(client: Client, data: bytes) -> None:
    reply = send_chunk(client.start_upload(3), 0, data, "upload, finalize")
    assert reply.status_code == 400
    assert client.call("GET", "files") == {}


def test_a_length_need_not_be_declared(client: Client) -> None:
    reply = send_chunk(client.start_upload(None), 0, b"abc", "upload, finalize")
    assert reply.json()["file"]["sizeBytes"] == "3"


def test_an_empty_file_can_be_uploaded(client: Client) -> None:
    assert client.upload(b"")["sizeBytes"] == "0"


@pytest.mark.parametrize("name", ["my-file-1", "files/my-file-1"])
def test_a_client_may_choose_the_id(client: Client, name: str) -> None:
    assert client.upload(b"x", name=name)["name"] == "files/my-file-1"
    reply = client.send_start(1, name=name)
    assert reply.status_code == 409
    assert reply.json()["error"]["status"] == "ALREADY_EXISTS"


@pytest.mark.parametrize("name", ["UPPER", "under_score", "-dash", "dash-", "a" * 41, "a/b"])
def test_an_impossible_id_is_refused(client: Client, name: str) -> None:
    assert client.send_start(1, name=f"files/{name}").status_code == 400


def test_two_sessions_for_one_id_make_one_file(client: Client) -> None:
    urls = [client.start_upload(1, name="same") for _ in range(2)]
    statuses = [send_chunk(url, 0, b"x", "upload, finalize").status_code for url in urls]
    assert statuses == [200, 409]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Goog-Upload-Protocol": "raw", "X-Goog-Upload-Command": "start"},
        {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "upload"},
        {**START, "X-Goog-Upload-Header-Content-Length": "many"},
        {**START, "X-Goog-Upload-Header-Content-Length": "-1"},
        {**START, "X-Goog-Upload-Header-Content-Length": "9" * 5000},
        {},
    ],
)
def test_a_start_needs_its_headers(client: Client, headers: dict[str, str]) -> None:
    reply = client.send("POST", "/upload/v1beta/files", headers=headers, json={})
    assert reply.status_code == 400


def test_unknown_fields_and_long_names_are_refused(client: Client) -> None:
    assert client.send_start(1, colour="red").status_code == 400
    assert client.send_start(1, display_name="x" * 513).status_code == 400
    assert client.send_start(1, display_name="x" * 512).status_code == 200


def test_an_unknown_command_is_refused(client: Client) -> None:
    assert send_chunk(client.start_upload(1), 0, b"", "dance").status_code == 400
    assert send_chunk(client.start_upload(1), 0, b"", "").status_code == 400


def test_starting_needs_the_key_and_an_unknown_session_is_not_found(client: Client) -> None:
    reply = requests.post(f"{client.url}/upload/v1beta/files", timeout=10)
    assert reply.status_code == 403
    reply = query(f"{client.url}/upload/v1beta/files?upload_id=nobody&upload_protocol=resumable")
    assert reply.status_code == 404


def test_a_file_too_large_is_refused_before_and_while_it_comes() -> None:
    with serve(limits=Limits(file_bytes=1000)) as emulator:
        client = Client(emulator)
        assert client.send_start(1001).status_code == 400
        reply = send_chunk(client.start_upload(None), 0, b"x" * 1001, "upload, finalize")
        assert reply.status_code == 400
        assert client.upload(b"x" * 1000)["sizeBytes"] == "1000"
        client.session.close()


def test_storage_that_is_full_refuses_until_a_file_goes() -> None:
    with serve(limits=Limits(storage_bytes=1000)) as emulator:
        client = Client(emulator)
        name = client.upload(b"x" * 900)["name"]
        error = client.send_start(101).json()["error"]
        assert error["status"] == "RESOURCE_EXHAUSTED"
        (violation,) = error["details"][0]["violations"]
        assert violation["quotaId"] == "FileStorageBytesPerProject"
        client.call("DELETE", name)
        client.upload(b"x" * 1000)
        client.session.close()


def test_each_step_is_told_before_its_reply() -> None:
    heard: list[str] = []
    with serve(on_effect=lambda kind, _name: heard.append(kind)) as emulator:
        client = Client(emulator)
        url = client.start_upload(2)
        send_chunk(url, 0, b"a", "upload")
        send_chunk(url, 1, b"b", "upload, finalize")
        client.session.close()
    assert heard == ["upload.started", "upload.received", "upload.received", "file.created"]


def test_a_lost_reply_to_finalize_can_be_asked_for() -> None:
    def cut(kind: str, _name: str) -> None:
        if kind == "file.created":
            raise ConnectionResetError

    with serve(on_effect=cut) as emulator:
        client = Client(emulator)
        url = client.start_upload(1)
        with contextlib.suppress(requests.ConnectionError):
            send_chunk(url, 0, b"x", "upload, finalize")
        assert query(url).json()["file"]["sizeBytes"] == "1"
        client.session.close()
