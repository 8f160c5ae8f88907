from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import requests

from .client import BUCKET, Gcs

if TYPE_CHECKING:
    from .conftest import Effects

PATH = f"/storage/v1/b/{BUCKET}/o"


def replies(reply: requests.Response) -> list[tuple[int, dict[str, object]]]:
    """Status and JSON of each reply in a batch."""
    assert reply.status_code == 200, reply.text
    boundary = reply.headers["content-type"].partition("boundary=")[2]
    found: list[tuple[int, dict[str, object]]] = []
    for part in reply.text.split(f"--{boundary}")[1:-1]:
        _, head, text = part.split("\r\n\r\n", 2)
        found.append((int(head.split()[1]), json.loads(text) if text.strip() else {}))
    return found


def test_calls_are_answered_in_order_each_for_itself(gcs: Gcs) -> None:
    gcs.upload_all(["a", "b"])
    patch = json.dumps({"metadata": {"k": "v"}})
    reply = gcs.send_batch(
        f"DELETE {PATH}/a HTTP/1.1\r\n\r\n",
        f"GET {PATH}/missing HTTP/1.1\r\n\r\n",
        f"PATCH {gcs.url}{PATH}/b?fields=metadata HTTP/1.1\n"
        f"Content-Type: application/json\n\n{patch}",
        f"GET {PATH}/b?ifGenerationMatch=1 HTTP/1.1\r\n\r\n",
        "GET /storage/v1/nonsense HTTP/1.1\r\n\r\n",
    )
    found = replies(reply)
    assert [status for status, _ in found] == [204, 404, 200, 412, 404]
    assert found[2][1] == {"metadata": {"k": "v"}}
    assert gcs.names() == ["b"]


def test_replies_are_named_after_their_calls(gcs: Gcs) -> None:
    body = (
        "--b\r\nContent-Type: application/http\r\nContent-ID: <x+7>\r\n\r\n"
        f"GET {PATH} HTTP/1.1\r\n\r\n\r\n--b--"
    )
    headers = {"Content-Type": "multipart/mixed; boundary=b"}
    reply = gcs.send("POST", "/batch/storage/v1", data=body, headers=headers)
    assert "Content-ID: <response-x+7>\r\n" in reply.text


def test_contents_do_not_travel_in_batches(gcs: Gcs) -> None:
    gcs.upload("a", b"secret")
    reply = gcs.send_batch(f"GET {PATH}/a?alt=media HTTP/1.1\r\n\r\n")
    assert "secret" not in reply.text
    assert replies(reply)[0][0] == 400


def test_a_batch_has_at_most_100_calls(gcs: Gcs) -> None:
    call = f"GET {PATH} HTTP/1.1\r\n\r\n"
    assert len(replies(gcs.send_batch(*[call] * 100))) == 100
    assert gcs.refusal(gcs.send_batch(*[call] * 101)) == (400, "invalid")


def test_what_is_no_call_is_refused(gcs: Gcs) -> None:
    assert gcs.refusal(gcs.send_batch("nonsense")) == (400, "invalid")


def test_a_reply_that_is_lost_is_that_of_the_whole_batch(gcs: Gcs, effects: Effects) -> None:
    gcs.upload_all(["a", "b"])
    effects.lost.append("object.deleted")
    calls = [f"DELETE {PATH}/{name} HTTP/1.1\r\n\r\n" for name in "ab"]
    with pytest.raises(requests.ConnectionError):
        gcs.send_batch(*calls)
    assert gcs.names() == ["b"]
