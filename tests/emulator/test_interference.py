from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests

from batchkit.emulator import CallFault

from .client import MODEL, generate_line, send_chunk, text_request

if TYPE_CHECKING:
    from batchkit.emulator import Emulator

    from .client import Client

BODY = {
    "batch": {
        "displayName": "test",
        "inputConfig": {"requests": {"requests": [{"request": text_request("Hello")}]}},
    }
}
CREATE = f"/v1beta/models/{MODEL}:batchGenerateContent"
VERTEX = "/v1/projects/p/locations/l/batchPredictionJobs"
OBJECT = "/storage/v1/b/a/o/o"


def jobs(client: Client) -> int:
    return len(client.call("GET", "batches").get("operations", []))


@pytest.mark.parametrize(
    "code, said",
    [
        (503, (503, "UNAVAILABLE")),
        (429, (429, "RESOURCE_EXHAUSTED")),
        (7, (403, "PERMISSION_DENIED")),
    ],
)
def test_a_refused_call_does_nothing(
    emulator: Emulator, client: Client, code: int, said: tuple[int, str]
) -> None:
    emulator.inject(CallFault("refuse", on="create", code=code))
    error = client.refused("POST", f"models/{MODEL}:batchGenerateContent", json=BODY)
    assert (error["code"], error["status"]) == said
    assert jobs(client) == 0
    assert client.send("POST", CREATE, json=BODY).status_code == 200


def test_a_message_of_its_own_is_said(emulator: Emulator, client: Client) -> None:
    emulator.inject(CallFault("refuse", on="list", code=500, message="a bad day"))
    assert client.refused("GET", "batches")["message"] == "a bad day"


def test_a_lost_reply_is_of_a_call_that_was_done(emulator: Emulator, client: Client) -> None:
    emulator.inject(CallFault("lose", on="create"))
    assert client.send("POST", CREATE, json=BODY).status_code == 503
    assert jobs(client) == 1


def test_a_refusal_is_not_lost(emulator: Emulator, client: Client) -> None:
    emulator.inject(CallFault("lose", on="get"))
    assert client.send("GET", "/v1beta/batches/none").status_code == 404


def test_a_cut_reply_ends_in_the_middle_of_its_body(emulator: Emulator, client: Client) -> None:
    emulator.inject(CallFault("cut", on="create"))
    with pytest.raises(requests.RequestException) as caught:
        client.send("POST", CREATE, json=BODY)
    assert "IncompleteRead" in str(caught.value)
    assert jobs(client) == 1


def test_a_cut_download_can_go_on_where_it_ended(emulator: Emulator, client: Client) -> None:
    name = client.create_from_lines([generate_line(f"r{i}") for i in range(50)])
    path = f"/v1beta/{client.get(name)['response']['responsesFile']}:download?alt=media"
    whole = client.send("GET", path).content
    emulator.inject(CallFault("cut", on="download"))
    with client.send("GET", path, stream=True) as reply:
        assert int(reply.headers["Content-Length"]) == len(whole)
        received = reply.raw.read(len(whole) // 2)
        with pytest.raises(Exception, match="IncompleteRead"):
            reply.raw.read()
    assert whole.startswith(received)
    rest = client.send("GET", path, headers={"Range": f"bytes={len(received)}-"})
    assert (received + rest.content, rest.status_code) == (whole, 206)


def test_an_interrupted_create_makes_no_job(emulator: Emulator, client: Client) -> None:
    emulator.inject(CallFault("interrupt", on="create"))
    with pytest.raises(requests.ConnectionError):
        client.send("POST", CREATE, json=BODY)
    assert jobs(client) == 0


@pytest.mark.parametrize("length", ["known", "chunked"])
def test_an_interrupted_upload_keeps_what_came(
    emulator: Emulator, client: Client, length: str
) -> None:
    data = b"".join(json.dumps(generate_line(str(i))).encode() + b"\n" for i in range(9_000))
    url = client.start_upload(len(data))
    emulator.inject(CallFault("interrupt", on="upload"))
    with pytest.raises(requests.ConnectionError):
        send_chunk(url, 0, iter([data]) if length == "chunked" else data, "upload, finalize")
    asked = requests.post(url, headers={"X-Goog-Upload-Command": "query"}, timeout=60)
    kept = int(asked.headers["x-goog-upload-size-received"])
    assert kept == (0 if length == "chunked" else len(data) // 2)
    done = send_chunk(url, kept, data[kept:], "upload, finalize")
    assert done.json()["file"]["sizeBytes"] == str(len(data))


def test_a_fault_lets_some_calls_pass_and_befalls_some(emulator: Emulator, client: Client) -> None:
    emulator.inject(CallFault("refuse", on="list", skip=1, times=2))
    statuses = [client.send("GET", "/v1beta/batches").status_code for _ in range(4)]
    assert statuses == [200, 503, 503, 200]
    assert emulator.stats()["faults"] == {"refuse": 2}


@pytest.mark.parametrize(
    "on, calls",
    [
        ("create", [f"POST {CREATE}", f"POST {VERTEX}"]),
        ("list", ["GET /v1beta/batches", f"GET {VERTEX}"]),
        ("get", ["GET /v1beta/batches/b", f"GET {VERTEX}/1"]),
        ("cancel", ["POST /v1beta/batches/b:cancel", f"POST {VERTEX}/1:cancel"]),
        ("delete", ["DELETE /v1beta/batches/b", f"DELETE {VERTEX}/1"]),
        ("upload", ["POST /upload/v1beta/files", "POST /upload/storage/v1/b/a/o"]),
        ("download", ["GET /download/v1beta/files/f:download", "GET /v1beta/files/f:download"]),
        ("download", [f"GET /download{OBJECT}", f"GET {OBJECT}?alt=media"]),
        ("answer", [f"POST /v1beta/models/{MODEL}:generateContent"]),
        ("any", [f"GET {VERTEX}", f"GET {OBJECT}?alt=media"]),
    ],
)
def test_calls_of_both_services_go_by_one_name(
    emulator: Emulator, client: Client, on: Any, calls: list[str]
) -> None:
    emulator.inject(CallFault("refuse", on=on, code=502, times=None))
    assert [client.send(*call.split()).status_code for call in calls] == [502] * len(calls)
    others = "/v1beta/files", f"/v1beta/models/{MODEL}", "/storage/v1/b", OBJECT
    assert 502 not in [client.send("GET", path).status_code for path in others]
    emulator.heal()
    assert 502 not in [client.send(*call.split()).status_code for call in calls]
