from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .client import BUCKET, QUANTUM, Gcs

if TYPE_CHECKING:
    from batchkit.emulator import Clock, Emulator

    from .conftest import Effects

TEXT = os.urandom(3 * QUANTUM + 1000)
WHOLE = len(TEXT)


def span(start: int, stop: int = WHOLE, total: int | str = WHOLE) -> str:
    return f"bytes {start}-{stop - 1}/{total}"


def test_an_upload_in_one_request_needs_no_range(gcs: Gcs) -> None:
    session = gcs.start("a", {"metadata": {"k": "v"}}, {"X-Upload-Content-Type": "text/csv"})
    made = gcs.send("PUT", session, data=TEXT).json()
    assert (made["size"], made["contentType"]) == (str(WHOLE), "text/csv")
    assert made["metadata"] == {"k": "v"}
    assert gcs.contents("a") == TEXT


def test_an_upload_in_chunks_is_an_object_after_the_last(gcs: Gcs) -> None:
    session = gcs.start("a")
    assert gcs.received(session) == 0
    for number in range(3):
        start, stop = number * QUANTUM, (number + 1) * QUANTUM
        reply = gcs.put(session, TEXT[start:stop], span(start, stop, "*"))
        assert (reply.status_code, reply.headers["range"]) == (308, f"bytes=0-{stop - 1}")
        assert gcs.received(session) == stop
    assert gcs.names() == []
    last = gcs.put(session, TEXT[3 * QUANTUM :], span(3 * QUANTUM))
    assert last.json()["size"] == str(WHOLE)
    assert gcs.contents("a") == TEXT


def test_chunks_may_be_posted_and_the_end_may_be_said_later(gcs: Gcs) -> None:
    """As gcsfs does when a file ends with its last full block."""
    session = gcs.start("a")
    headers = {"Content-Range": span(0, QUANTUM, "*")}
    assert gcs.send("POST", session, data=TEXT[:QUANTUM], headers=headers).status_code == 308
    assert gcs.put(session, b"", f"bytes */{QUANTUM}").json()["size"] == str(QUANTUM)


def test_an_empty_object_can_be_uploaded_in_both_ways(gcs: Gcs) -> None:
    assert gcs.put(gcs.start("a"), b"", "bytes */0").json()["size"] == "0"
    assert gcs.send("PUT", gcs.start("b")).json()["size"] == "0"


def test_what_was_received_is_not_received_again_even_if_it_is_another_text(gcs: Gcs) -> None:
    """https://cloud.google.com/storage/docs/resumable-uploads#resent-data."""
    session = gcs.start("a")
    gcs.put(session, TEXT[: 2 * QUANTUM], span(0, 2 * QUANTUM, "*"))
    other = b"?" * QUANTUM + TEXT[QUANTUM:]
    again = gcs.put(session, other[:QUANTUM], span(0, QUANTUM, "*"))
    assert again.headers["range"] == f"bytes=0-{2 * QUANTUM - 1}"
    last = gcs.put(session, b"?" * QUANTUM + TEXT[2 * QUANTUM :], span(QUANTUM))
    assert last.status_code == 200
    assert gcs.contents("a") == TEXT


def test_only_multiples_of_256_kib_are_kept_before_the_end(gcs: Gcs) -> None:
    session = gcs.start("a")
    reply = gcs.put(session, TEXT[: QUANTUM + 5], span(0, QUANTUM + 5, "*"))
    assert reply.headers["range"] == f"bytes=0-{QUANTUM - 1}"
    assert gcs.put(session, TEXT[QUANTUM:], span(QUANTUM)).status_code == 200
    assert gcs.contents("a") == TEXT


def test_a_chunk_that_is_too_small_is_refused_in_googles_words(gcs: Gcs) -> None:
    session = gcs.start("a")
    reply = gcs.put(session, b"x" * 1000, "bytes 0-999/*")
    assert gcs.refusal(reply) == (400, "invalid")
    assert "equal or greater than 262144" in reply.json()["error"]["message"]
    assert gcs.received(session) == 0


def test_a_gap_is_refused_in_plain_text_and_as_if_it_might_close(gcs: Gcs) -> None:
    """https://github.com/Byron/google-apis-rs/issues/438."""
    session = gcs.start("a")
    reply = gcs.put(session, TEXT[:QUANTUM], span(QUANTUM, 2 * QUANTUM, "*"))
    assert reply.status_code == 503
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert reply.text == (
        "Invalid request.  According to the Content-Range header, the upload offset is 262144 "
        "byte(s), which exceeds already uploaded size of 0 byte(s)."
    )
    assert gcs.received(session) == 0


@pytest.mark.parametrize(
    "content_range",
    [
        "bytes 0-9/10",
        f"bytes 0-{QUANTUM}/*",
        f"bytes 0-{QUANTUM - 1}/100",
        f"bytes {QUANTUM - 1}-0/*",
        f"bytes=0-{QUANTUM - 1}/*",
        "bytes a-b/c",
        "lines 1-2/3",
    ],
)
def test_a_body_that_is_not_what_its_range_says_is_refused(gcs: Gcs, content_range: str) -> None:
    session = gcs.start("a")
    assert gcs.refusal(gcs.put(session, TEXT[:QUANTUM], content_range)) == (400, "invalid")
    assert gcs.received(session) == 0


def test_a_size_that_was_declared_must_be_kept_to(gcs: Gcs) -> None:
    session = gcs.start("a", headers={"X-Upload-Content-Length": str(WHOLE)})
    assert gcs.refusal(gcs.put(session, TEXT[:9], "bytes 0-8/9")) == (400, "invalid")
    assert gcs.refusal(gcs.send("PUT", session, data=TEXT[:9])) == (400, "invalid")
    assert gcs.send("PUT", session, data=TEXT).status_code == 200


def test_an_upload_cannot_end_before_what_was_received(gcs: Gcs) -> None:
    session = gcs.start("a")
    gcs.put(session, TEXT[: 2 * QUANTUM], span(0, 2 * QUANTUM, "*"))
    reply = gcs.put(session, TEXT[:QUANTUM], span(0, QUANTUM, QUANTUM))
    assert gcs.refusal(reply) == (400, "invalid")


def cut_put(session: str, start: int, sent: bytes, missing: int) -> None:
    """Send the beginning of a chunk, then hang up."""
    address = urlsplit(session)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        size = len(sent) + missing
        head = (
            f"PUT {address.path}?{address.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n"
            f"Content-Range: bytes {start}-{start + size - 1}/*\r\n\r\n"
        )
        connection.sendall(head.encode() + sent)


def test_a_chunk_that_was_cut_is_kept_in_part_and_the_rest_can_be_sent(gcs: Gcs) -> None:
    session = gcs.start("a")
    cut_put(session, 0, TEXT[: QUANTUM + 100], QUANTUM)
    assert gcs.received(session) in {0, QUANTUM}  # it is still arriving, or has
    while gcs.received(session) == 0:
        pass
    assert gcs.put(session, TEXT[QUANTUM:], span(QUANTUM)).status_code == 200
    assert gcs.contents("a") == TEXT


@pytest.mark.parametrize("kind", ["upload.received", "object.created"])
def test_after_a_lost_reply_the_last_chunk_can_be_sent_again(
    gcs: Gcs, effects: Effects, kind: str
) -> None:
    session = gcs.start("a", ifGenerationMatch=0)
    effects.lost.append(kind)
    with pytest.raises(requests.ConnectionError):
        gcs.put(session, TEXT, span(0))
    reply = gcs.put(session, TEXT, span(0))
    assert reply.json()["size"] == str(WHOLE)
    assert gcs.contents("a") == TEXT
    assert effects.heard.count(("object.created", f"gs://{BUCKET}/a")) == 1


def test_after_the_end_a_session_tells_what_it_became(gcs: Gcs) -> None:
    session = gcs.start("a")
    made = gcs.send("PUT", session, data=TEXT).json()
    gcs.upload("a", b"something newer")
    for content_range in ("bytes */*", f"bytes */{WHOLE}", span(0)):
        body = TEXT if "-" in content_range else b""
        assert gcs.put(session, body, content_range).json() == made
    assert gcs.contents("a") == b"something newer"


def test_conditions_are_checked_at_the_start_and_at_the_end(gcs: Gcs) -> None:
    session = gcs.start("a", ifGenerationMatch=0)
    gcs.upload("a", b"first")
    assert gcs.refusal(gcs.send("PUT", session, data=TEXT)) == (412, "conditionNotMet")
    assert gcs.refusal(gcs.put(session, b"", "bytes */*")) == (404, "notFound")
    assert gcs.contents("a") == b"first"
    assert gcs.refusal(gcs.send_start("a", ifGenerationMatch=0)) == (412, "conditionNotMet")


def test_a_session_in_a_bucket_that_is_not_there_is_not_begun(gcs: Gcs) -> None:
    path = "/upload/storage/v1/b/nowhere/o?uploadType=resumable&name=a"
    assert gcs.refusal(gcs.send("POST", path, json={})) == (404, "notFound")


@pytest.mark.parametrize("place", ["start", "end"])
def test_a_wrong_checksum_ends_the_upload_without_an_object(
    gcs: Gcs, emulator: Emulator, place: str
) -> None:
    resource = {"crc32c": "AAAAAA=="} if place == "start" else {}
    session = gcs.start("a", resource)
    headers = {"X-Goog-Hash": "crc32c=AAAAAA=="} if place == "end" else {}
    reply = gcs.send("PUT", session, data=TEXT, headers=headers)
    assert gcs.refusal(reply) == (400, "invalid")
    assert gcs.names() == []
    assert list((emulator.folder / "blobs").iterdir()) == []


def test_a_cancelled_upload_is_gone(gcs: Gcs, emulator: Emulator, effects: Effects) -> None:
    session = gcs.start("a")
    gcs.put(session, TEXT[:QUANTUM], span(0, QUANTUM, "*"))
    assert gcs.send("DELETE", session).status_code == 499
    assert gcs.refusal(gcs.put(session, b"", "bytes */*")) == (404, "notFound")
    assert list((emulator.folder / "blobs").iterdir()) == []
    kinds = ["upload.started", "upload.received", "upload.cancelled"]
    assert effects.heard == [(kind, f"gs://{BUCKET}/a") for kind in kinds]


def test_a_session_lives_a_week(gcs: Gcs, emulator: Emulator, clock: Clock) -> None:
    session = gcs.start("a")
    clock.advance(7 * 24 * 3600 - 1)
    assert gcs.received(session) == 0
    clock.advance(1)
    assert gcs.refusal(gcs.put(session, b"", "bytes */*")) == (404, "notFound")
    gcs.start("b")
    assert len(list((emulator.folder / "blobs").iterdir())) == 1


def test_a_session_nobody_began_is_not_found(gcs: Gcs) -> None:
    path = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=resumable&upload_id=x"
    for method in ("PUT", "POST", "DELETE"):
        assert gcs.refusal(gcs.send(method, path)) == (404, "notFound")


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_however_often_and_wherever_a_client_begins_again_the_object_is_whole(
    gcs: Gcs, data: st.DataObject
) -> None:
    session = gcs.start("a")
    received = 0
    for _ in range(data.draw(st.integers(0, 6))):
        start = data.draw(st.integers(0, received))
        stop = data.draw(st.integers(start + QUANTUM, start + 3 * QUANTUM))
        if stop > WHOLE:
            break
        gcs.put(session, TEXT[start:stop], span(start, stop, "*"))
        before, received = received, gcs.received(session)
        assert received == max(before, stop // QUANTUM * QUANTUM)
    start = data.draw(st.integers(0, received))
    made: Any = gcs.put(session, TEXT[start:], span(start)).json()
    assert made["size"] == str(WHOLE)
    assert gcs.contents("a") == TEXT
