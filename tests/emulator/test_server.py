from __future__ import annotations

import gzip
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import requests

from batchkit.emulator import Clock, serve
from batchkit.emulator.exchange import FileSlice, Reply
from batchkit.emulator.server import Server

from .client import Client, generate_line, send_chunk, text_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchkit.emulator import Emulator

KEY = "x-goog-api-key: emulator-key\r\n"


class Wire:
    """A connection on which a test writes bytes and reads replies."""

    def __init__(self, emulator: Emulator) -> None:
        host, port = emulator.url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.stream = self.socket.makefile("rb")

    def write(self, text: str | bytes) -> None:
        self.socket.sendall(text.encode() if isinstance(text, str) else text)

    def head(self) -> tuple[int, dict[str, str]]:
        status = int(self.stream.readline().split()[1])
        headers: dict[str, str] = {}
        while line := self.stream.readline().strip().decode():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return status, headers

    def reply(self) -> tuple[int, bytes]:
        status, headers = self.head()
        return status, self.stream.read(int(headers["content-length"]))

    def is_closed(self) -> bool:
        return self.stream.read(1) == b""


@pytest.fixture
def wire(emulator: Emulator) -> Iterator[Wire]:
    wire = Wire(emulator)
    yield wire
    wire.stream.close()
    wire.socket.close()


def test_a_connection_is_kept_for_many_requests(wire: Wire) -> None:
    for _ in range(3):
        wire.write(f"GET /v1beta/files HTTP/1.1\r\nHost: x\r\n{KEY}\r\n")
        assert wire.reply() == (200, b"{}")


def test_the_body_of_a_refused_request_does_not_reach_the_next_one(wire: Wire) -> None:
    body = "x" * 100_000
    wire.write(f"POST /nowhere HTTP/1.1\r\nHost: x\r\n{KEY}Content-Length: 100000\r\n\r\n{body}")
    wire.write(f"GET /v1beta/files HTTP/1.1\r\nHost: x\r\n{KEY}\r\n")
    assert wire.reply()[0] == 404
    assert wire.reply() == (200, b"{}")


def test_a_chunked_body_is_read_whole(wire: Wire) -> None:
    pieces = [b'{"contents": [{"parts": [', b'{"text": "Hi"}', b"]}]}"]
    wire.write(f"POST /v1beta/models/gemini-3.8-flash:countTokens HTTP/1.1\r\nHost: x\r\n{KEY}")
    wire.write("Transfer-Encoding: chunked\r\n\r\n")
    for piece in pieces:
        wire.write(f"{len(piece):x};note=1\r\n".encode() + piece + b"\r\n")
    wire.write("0\r\nX-Trailer: 1\r\n\r\n")
    status, body = wire.reply()
    assert status == 200
    assert json.loads(body)["totalTokens"] == 1
    wire.write(f"GET /v1beta/files HTTP/1.1\r\nHost: x\r\n{KEY}\r\n")
    assert wire.reply() == (200, b"{}")


def test_a_client_that_expects_100_is_asked_for_its_body(wire: Wire) -> None:
    body = '{"contents": [{"parts": [{"text": "Hi"}]}]}'
    wire.write(f"POST /v1beta/models/gemini-3.8-flash:countTokens HTTP/1.1\r\nHost: x\r\n{KEY}")
    wire.write(f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n")
    assert wire.head() == (100, {})
    wire.write(body)
    assert wire.reply()[0] == 200


@pytest.mark.parametrize("length", ["minus", "-5", "1.5", "9" * 5000])
def test_a_body_of_unknown_length_closes_the_connection(wire: Wire, length: str) -> None:
    wire.write(f"POST /v1beta/files HTTP/1.1\r\nHost: x\r\n{KEY}Content-Length: {length}\r\n\r\n")
    status, body = wire.reply()
    assert status == 400
    assert json.loads(body)["error"]["status"] == "INVALID_ARGUMENT"
    assert wire.is_closed()


def test_an_unknown_method_is_refused_in_googles_form(wire: Wire) -> None:
    wire.write(f"BREW /v1beta/files HTTP/1.1\r\nHost: x\r\n{KEY}\r\n")
    status, body = wire.reply()
    assert status == 501
    assert json.loads(body)["error"]["code"] == 501
    assert wire.is_closed()


@pytest.mark.parametrize("length", ["not a number", "-5", "f" * 100])
def test_a_broken_chunk_closes_the_connection(wire: Wire, length: str) -> None:
    wire.write(f"POST /v1beta/files HTTP/1.1\r\nHost: x\r\n{KEY}")
    wire.write(f"Transfer-Encoding: chunked\r\n\r\n{length}\r\n")
    assert wire.is_closed()


def test_head_is_a_get_without_a_body(client: Client) -> None:
    reply = client.send("HEAD", "/v1beta/files")
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["Content-Length"] == "2"


def test_options_and_put_are_not_found(client: Client) -> None:
    assert client.send("OPTIONS", "/v1beta/files").status_code == 404
    assert client.send("PUT", "/v1beta/files", data=b"x" * 1000).status_code == 404


def test_closing_cuts_open_connections(emulator: Emulator, wire: Wire) -> None:
    wire.write(f"GET /v1beta/files HTTP/1.1\r\nHost: x\r\n{KEY}\r\n")
    wire.reply()
    emulator.close()
    assert wire.is_closed()


def test_after_closing_nobody_listens(emulator: Emulator) -> None:
    emulator.close()
    with pytest.raises(requests.ConnectionError):
        requests.get(emulator.url, timeout=5)


def test_many_threads_at_once_lose_nothing(emulator: Emulator) -> None:
    def work(number: int) -> None:
        client = Client(emulator)
        for turn in range(5):
            client.create_from_lines([generate_line(f"{number}-{turn}")])
        for page in range(3):
            client.call("GET", f"batches?pageSize={page + 1}")
        client.session.close()

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = emulator.stats()
    assert stats["jobs"] == {"BATCH_STATE_SUCCEEDED": 40}
    assert stats["requests"] == {f"{n}-{turn}": 1 for n in range(8) for turn in range(5)}
    assert stats["files"] == 80


def test_an_effect_that_raises_a_connection_error_takes_the_reply_away(clock: Clock) -> None:
    heard: list[str] = []

    def cut(kind: str, name: str) -> None:
        heard.append(f"{kind} {name.partition('/')[0]}")
        if kind == "batch.created":
            raise ConnectionAbortedError

    with serve(clock=clock, on_effect=cut) as emulator:
        client = Client(emulator)
        name = client.upload_lines([generate_line("a")])
        with pytest.raises(requests.ConnectionError):
            client.create({"fileName": name})
        operations = client.call("GET", "batches")["operations"]
        assert [operation["done"] for operation in operations] == [True]
        client.session.close()
    assert [kind for kind in heard if kind.startswith(("file", "batch"))] == [
        "file.created files",
        "batch.created batches",
        "batch.processed batches",
    ]


def test_a_large_download_is_streamed_whole(client: Client) -> None:
    lines = [generate_line(str(number), "word " * 20) for number in range(2000)]
    assert len(client.output(client.create_from_lines(lines))) == 2000


def test_an_upload_of_several_megabytes_arrives_byte_for_byte(client: Client) -> None:
    data = bytes(range(256)) * 20_000
    url = client.start_upload(len(data))
    pieces = (data[start : start + 100_000] for start in range(0, len(data), 100_000))
    reply = send_chunk(url, 0, pieces, "upload, finalize")  # a generator goes in chunks
    assert reply.json()["file"]["sizeBytes"] == str(len(data))


def test_a_body_of_unknown_length_is_sent_in_chunks_and_the_connection_goes_on(wire: Wire) -> None:
    packed = gzip.compress(b"text " * 200_000)
    path = "/upload/storage/v1/b/bucket/o?uploadType=media&name=a&contentEncoding=gzip"
    wire.write('POST /storage/v1/b HTTP/1.1\r\nContent-Length: 18\r\n\r\n{"name": "bucket"}')
    assert wire.reply()[0] == 200
    wire.write(f"POST {path} HTTP/1.1\r\nContent-Length: {len(packed)}\r\n\r\n".encode() + packed)
    assert wire.reply()[0] == 200
    wire.write("GET /storage/v1/b/bucket/o/a?alt=media HTTP/1.1\r\n\r\n")
    _, headers = wire.head()
    assert headers["transfer-encoding"] == "chunked"
    text = b""
    while size := int(wire.stream.readline(), 16):
        text += wire.stream.read(size)
        wire.stream.readline()
    wire.stream.readline()
    assert text == b"text " * 200_000
    wire.write("HEAD /storage/v1/b/bucket/o/a?alt=media HTTP/1.1\r\n\r\n")
    assert wire.head()[0] == 200
    wire.write(f"GET /v1beta/files HTTP/1.1\r\nHost: x\r\n{KEY}\r\n")
    assert wire.reply() == (200, b"{}")


def test_http_1_0_is_answered_and_the_connection_closed(wire: Wire) -> None:
    wire.write(f"GET /v1beta/files HTTP/1.0\r\n{KEY}\r\n")
    assert wire.reply() == (200, b"{}")
    assert wire.is_closed()


@pytest.mark.parametrize(
    "line", ["GET http://[x/v1beta/files HTTP/1.1", "POST /v1beta/files?\0 HTTP/1.1"]
)
def test_a_request_line_that_makes_no_sense_gets_an_answer(wire: Wire, line: str) -> None:
    wire.write(f"{line}\r\nHost: x\r\n{KEY}Connection: close\r\n\r\n")
    status, body = wire.reply()
    assert status in {400, 404}
    assert json.loads(body)["error"]["code"] == status


def test_a_body_that_comes_byte_by_byte_is_waited_for(wire: Wire) -> None:
    body = json.dumps(text_request("Hi"))
    wire.write(f"POST /v1beta/models/gemini-3.8-flash:countTokens HTTP/1.1\r\nHost: x\r\n{KEY}")
    wire.write(f"Content-Length: {len(body)}\r\n\r\n")
    for letter in body:
        wire.write(letter)
    assert wire.reply()[0] == 200


def test_a_body_far_too_large_is_refused_without_being_kept(client: Client) -> None:
    pieces = (b" " * 1_000_000 for _ in range(50))
    reply = client.send("POST", "/v1beta/models/gemini-3.8-flash:countTokens", data=pieces)
    assert reply.status_code == 400
    assert "exceeds the limit: 20000000 bytes" in reply.json()["error"]["message"]


def test_a_file_that_is_gone_when_it_is_to_be_sent_is_not_found(tmp_path: Path) -> None:
    server = Server("127.0.0.1", 0)
    server.start(lambda _: Reply(200, (b"head", FileSlice(tmp_path / "gone", 0, 5))))
    reply = requests.get(server.url, timeout=10)
    server.close()
    assert reply.status_code == 404
    assert reply.json()["error"]["status"] == "NOT_FOUND"


def test_a_reply_is_sent_piece_by_piece(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    slices = [
        FileSlice(tmp_path / "file", start, stop) for start, stop in [(2, 5), (9, 9), (0, 10)]
    ]
    server = Server("127.0.0.1", 0)
    server.start(lambda _: Reply(200, (b"<", slices[0], b"|", slices[1], b"|", slices[2], b">")))
    assert requests.get(server.url, timeout=10).content == b"<234||0123456789>"
    assert requests.head(server.url, timeout=10).headers["Content-Length"] == "17"
    server.close()


def test_twenty_clients_that_make_and_break_at_once_never_meet_a_failure(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[str] = []

    def work(number: int) -> set[tuple[str, int]]:
        client = Client(emulator)
        seen: set[tuple[str, int]] = set()
        for turn in range(6):
            name = client.upload_lines([generate_line(f"{number}-{turn}")])
            made.append(client.create({"fileName": name})["name"])
            old = made[(number * 7 + turn) % len(made)]
            output = old.replace("batches/", "files/batch-")
            for method, path in [
                ("GET", "batches?pageSize=3"),
                ("GET", "files?pageSize=3"),
                ("GET", old),
                ("GET", f"{output}:download"),
                ("POST", f"{old}:cancel"),
                ("DELETE", old),
                ("DELETE", name),
            ]:
                status = client.send(method, f"/v1beta/{path}").status_code
                kind = "list" if "pageSize" in path else path.partition("/")[0]
                seen.add((kind, status))
        client.session.close()
        return seen

    with ThreadPoolExecutor(20) as threads:
        seen = set().union(*threads.map(work, range(20)))
    assert seen <= {
        ("list", 200),
        ("batches", 200),
        ("batches", 404),
        ("files", 200),
        ("files", 403),
    }
    assert set(emulator.stats()["requests"].values()) == {1}
    assert caplog.records == []
