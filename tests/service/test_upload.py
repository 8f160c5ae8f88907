from __future__ import annotations

import contextlib
import hashlib
import io
import logging
from typing import TYPE_CHECKING, Any

import pytest

import batchkit as bk
from batchkit.clients import connect
from batchkit.emulator import serve
from batchkit.errors import InvalidRequestError, ServiceError, ServiceFailureError
from batchkit.service.upload import CHUNK_BYTES, Upload, send_upload
from batchkit.transport import Retries
from tests.conftest import Service, quick_client
from tests.cut_line import cut_line
from tests.scripted import NO_REPLY, Asked, Said, Scripted, scripted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATH = "/upload/v1beta/files"
QUICK = Retries(first_seconds=0.001, longest_seconds=0.02, total_seconds=1)
ACTIVE = {"X-Goog-Upload-Status": "active"}
FINAL = {"X-Goog-Upload-Status": "final"}
FILE = {"file": {"name": "files/abc", "sizeBytes": "10"}}
DATA = b"0123456789"


def some_bytes(size: int) -> bytes:
    """Bytes of which no two parts are alike, so that a wrong order shows."""
    return b"".join(b"%09d\n" % number for number in range(size // 10 + 1))[:size]


class Uploads:
    """A service that holds one upload, and gets in its own way as a test tells it to.

    `trouble` is asked before each request to the session; what it returns is said instead.
    """

    def __init__(self, trouble: Callable[[str, int], Said | None]) -> None:
        self.received = b""
        self.finished = False
        self.commands: list[str] = []
        self._trouble = trouble

    @contextlib.contextmanager
    def serve(self) -> Iterator[Scripted]:
        with scripted(self) as server:
            self._url = f"{server.url}{PATH}?upload_id=THE-SECRET&upload_protocol=resumable"
            yield server

    def __call__(self, asked: Asked) -> Said:
        command = asked.headers["x-goog-upload-command"]
        self.commands.append(command)
        if command == "start":
            return Said(headers={"X-Goog-Upload-URL": self._url, **ACTIVE})
        said = self._trouble(command, self.commands.count(command))
        if said is not None:
            return said
        if command != "query":
            assert int(asked.headers["x-goog-upload-offset"]) == len(self.received)
            self.received += asked.body
            self.finished = "finalize" in command
        if self.finished:
            return Said(body=FILE, headers=FINAL)
        size = {"X-Goog-Upload-Size-Received": str(len(self.received))}
        return Said(headers=ACTIVE | size)


def send(server: Scripted, data: bytes = DATA, *, chunk_bytes: int = 4, **more: Any) -> Any:
    transport = connect("secret-key", base_url=server.url, retries=QUICK).transport
    upload = Upload(io.BytesIO(data), len(data), "application/jsonl", **more)
    return send_upload(transport, PATH, upload, chunk_bytes=chunk_bytes)


def no_trouble(_command: str, _count: int) -> None:
    return None


def test_an_upload_starts_a_session_and_sends_chunks_at_their_offsets() -> None:
    uploads = Uploads(no_trouble)
    with uploads.serve() as server:
        assert send(server, display_name="my file") == FILE["file"]
        start, *chunks = server.asked
    assert start.json() == {"file": {"displayName": "my file"}}
    assert start.headers["x-goog-upload-protocol"] == "resumable"
    assert start.headers["x-goog-upload-header-content-length"] == "10"
    assert start.headers["x-goog-upload-header-content-type"] == "application/jsonl"
    assert [
        (c.headers["x-goog-upload-command"], c.headers["x-goog-upload-offset"], c.body)
        for c in chunks
    ] == [
        ("upload", "0", b"0123"),
        ("upload", "4", b"4567"),
        ("upload, finalize", "8", b"89"),
    ]


def test_the_key_goes_with_the_start_and_not_with_the_session() -> None:
    with Uploads(no_trouble).serve() as server:
        send(server)
        start, *chunks = server.asked
    assert start.headers["x-goog-api-key"] == "secret-key"
    assert len(chunks) == 3
    assert not any("x-goog-api-key" in chunk.headers for chunk in chunks)


@pytest.mark.parametrize("size, commands", [(0, 1), (1, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_the_last_chunk_finalizes_whatever_the_size(size: int, commands: int) -> None:
    uploads = Uploads(no_trouble)
    with uploads.serve() as server:
        send(server, DATA[:size])
    assert uploads.received == DATA[:size]
    assert uploads.commands[1:] == [*["upload"] * (commands - 1), "upload, finalize"]


def test_a_chunk_is_eight_mebibytes() -> None:
    assert CHUNK_BYTES == 8 * 1024 * 1024


def test_progress_is_told_after_each_chunk_up_to_the_last_byte() -> None:
    told: list[tuple[int, int]] = []
    with Uploads(no_trouble).serve() as server:
        send(server, on_progress=lambda sent, total: told.append((sent, total)))
    assert told == [(4, 10), (8, 10), (10, 10)]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 429])
@pytest.mark.parametrize("command", ["upload", "upload, finalize", "query"])
def test_an_upload_goes_on_after_a_passing_failure(command: str, status: int) -> None:
    def trouble(asked: str, count: int) -> Said | None:
        if command == "query" and asked == "upload" and count == 1:
            return Said(503)
        return Said(status, b"later") if asked == command and count <= 2 else None

    uploads = Uploads(trouble)
    with uploads.serve() as server:
        assert send(server) == FILE["file"]
    assert uploads.received == DATA


def test_an_upload_goes_on_from_what_the_service_has() -> None:
    uploads = Uploads(no_trouble)

    def trouble(asked: str, count: int) -> Said | None:
        if (asked, count) == ("upload", 2):
            uploads.received += b"45"  # half of the chunk came through
            return Said(NO_REPLY)
        return None

    uploads = Uploads(trouble)
    with uploads.serve() as server:
        assert send(server) == FILE["file"]
    assert uploads.received == DATA
    assert uploads.commands == ["start", "upload", "upload", "query", "upload, finalize"]


@pytest.mark.parametrize("lost", [Said(NO_REPLY), Said(body=FILE, headers=FINAL, sent_bytes=5)])
def test_a_lost_last_reply_is_asked_for(lost: Said) -> None:
    uploads = Uploads(no_trouble)

    def trouble(asked: str, count: int) -> Said | None:
        if (asked, count) == ("upload, finalize", 1):
            uploads.received += b"89"
            uploads.finished = True
            return lost
        return None

    uploads = Uploads(trouble)
    with uploads.serve() as server:
        assert send(server) == FILE["file"]
    assert uploads.received == DATA
    assert uploads.commands[-2:] == ["upload, finalize", "query"]


def test_a_file_that_cannot_be_named_any_more_is_said() -> None:
    """A service may say `final` without the file, which is there."""

    def trouble(asked: str, _count: int) -> Said | None:
        return Said(NO_REPLY) if "finalize" in asked else None

    uploads = Uploads(lambda a, n: Said(headers=FINAL) if a == "query" else trouble(a, n))
    with uploads.serve() as server, pytest.raises(ServiceError) as caught:
        send(server)
    assert caught.value.reason == "REPLY_LOST"
    assert "list the files" in str(caught.value)


def test_progress_begins_the_count_of_failures_anew() -> None:
    def trouble(asked: str, count: int) -> Said | None:
        return Said(503) if asked == "upload" and count % 4 else None

    uploads = Uploads(trouble)
    with uploads.serve() as server:
        send(server, some_bytes(40))
    assert uploads.received == some_bytes(40)
    assert uploads.commands.count("upload") == 4 * 9


def test_a_failure_that_does_not_pass_is_raised_after_six_tries() -> None:
    uploads = Uploads(lambda _a, _n: Said(503, {"error": {"message": "overloaded"}}))
    with uploads.serve() as server, pytest.raises(ServiceFailureError) as caught:
        send(server)
    assert str(caught.value).startswith("upload: 503 UNAVAILABLE: overloaded")
    assert len(uploads.commands) == 1 + 6


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_refusal_is_raised_at_once(status: int) -> None:
    uploads = Uploads(lambda _a, _n: Said(status, {"error": {"message": "no"}}))
    with uploads.serve() as server, pytest.raises(ServiceError) as caught:
        send(server)
    assert (caught.value.status, caught.value.message) == (status, "no")
    assert uploads.commands == ["start", "upload"]


def test_a_start_that_opens_no_session_is_a_failure_of_the_service() -> None:
    with scripted(Said()) as server, pytest.raises(ServiceFailureError) as caught:
        send(server)
    assert (caught.value.status, caught.value.reason) == (200, "BAD_ANSWER")


def test_a_start_is_repeated_until_it_is_answered() -> None:
    uploads = Uploads(no_trouble)
    failures = [Said(503), Said(NO_REPLY)]

    def answer(asked: Asked) -> Said:
        return failures.pop() if failures else uploads(asked)

    with uploads.serve() as behind, scripted(answer) as server:
        assert send(server) == FILE["file"]
        assert [asked.headers["x-goog-upload-command"] for asked in server.asked] == ["start"] * 3
        assert len(behind.asked) == 3


def test_a_file_that_gives_few_bytes_at_a_time_is_sent_whole() -> None:
    class Slow(io.RawIOBase):
        """As a network file system: a read may return less than was asked for."""

        def __init__(self) -> None:
            self._content = io.BytesIO(DATA)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            return self._content.readinto(memoryview(buffer)[:3])

        def seek(self, offset: int, whence: int = 0, /) -> int:
            return self._content.seek(offset, whence)

    uploads = Uploads(no_trouble)
    with uploads.serve() as server:
        transport = connect("k", base_url=server.url, retries=QUICK).transport
        content: Any = Slow()
        send_upload(transport, PATH, Upload(content, 10, "text/plain"), chunk_bytes=4)
        sent = [asked.body for asked in server.asked[1:]]
    assert uploads.received == DATA
    assert sent == [b"0123", b"4567", b"89"]


def test_the_address_of_a_session_is_in_no_error_and_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said: list[str] = []
    troubles = [Said(NO_REPLY), Said(503), Said(404), Said(307, b"", {"Location": "/there"})]
    with caplog.at_level(logging.DEBUG):
        for trouble in troubles:
            with Uploads(lambda _a, _n, t=trouble: t).serve() as server:
                with pytest.raises(ServiceError) as caught:
                    send(server)
                assert "upload_id=THE-SECRET" in server.asked[1].path
            error = caught.value
            said += [str(error), repr(error), repr(vars(error)), repr(error.__cause__)]
        with Uploads(no_trouble).serve() as server:
            send(server)
    assert "/upload/v1beta/files" in caplog.text  # the start is logged, by urllib3
    assert not any("THE-SECRET" in text for text in [*said, caplog.text])
    assert not any("THE-SECRET" in repr(vars(record)) for record in caplog.records)
    assert not any("secret-key" in text for text in [*said, caplog.text])


def test_a_traceback_of_a_cut_upload_does_not_show_its_address() -> None:
    with Uploads(lambda _a, _n: Said(NO_REPLY)).serve() as server:
        with pytest.raises(ServiceFailureError) as caught:
            send(server)
        assert "THE-SECRET" not in str(caught.getrepr(style="native"))


@pytest.mark.parametrize("size", [0, 1, 8 * 1024 * 1024, 17_000_000])
def test_the_emulator_gets_the_bytes_that_were_sent(service: Service, size: int) -> None:
    data = some_bytes(size)
    file = service.client.files.upload(data)
    assert (file.bytes, file.sha256) == (size, hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("cuts", [[3_000_000], [100_000, 9_000_000, 12_000_000]])
def test_an_upload_is_taken_up_again_where_the_line_was_cut(cuts: list[int]) -> None:
    data = some_bytes(17_000_000)
    with serve() as emulator, cut_line(emulator.url, up=cuts) as line:
        client = bk.Gemini(emulator.api_key, base_url=line.url, retries=QUICK)
        file = client.files.upload(data)
        assert line.cuts == len(cuts)
        assert emulator.stats()["files"] == 1
    assert (file.bytes, file.sha256) == (17_000_000, hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("kind", ["upload.started", "upload.received", "file.created"])
def test_an_upload_survives_the_loss_of_any_reply(kind: str) -> None:
    data = some_bytes(17_000_000)
    heard: list[str] = []

    def lose_the_first(effect: str, _name: str) -> None:
        heard.append(effect)
        if heard.count(kind) == 1 and effect == kind:
            raise ConnectionResetError

    with serve(on_effect=lose_the_first) as emulator:
        file = quick_client(emulator).files.upload(data)
        assert emulator.stats()["files"] == 1
    assert heard.count(kind) >= 1
    assert file.sha256 == hashlib.sha256(data).hexdigest()


def test_a_service_that_is_full_says_so_at_once(service: Service) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be more than 512 characters"):
        service.client.files.upload(b"x", display_name="x" * 513)


@pytest.mark.parametrize("address", ["http://10.0.0.1/up?upload_id=S3CRET", "/up?upload_id=S3CRET"])
def test_rows_are_not_sent_to_a_session_that_others_could_listen_to(address: str) -> None:
    with scripted(Said(headers={"X-Goog-Upload-URL": address})) as server:
        with pytest.raises(ServiceError, match="at an address that is not https") as caught:
            send(server)
        assert len(server.asked) == 1
    assert "S3CRET" not in repr(vars(caught.value))
