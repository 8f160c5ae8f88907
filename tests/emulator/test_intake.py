from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from batchkit.emulator import Limits, serve

from .client import Client, generate_line, text_request

if TYPE_CHECKING:
    from batchkit.emulator import Emulator

GOOD = json.dumps(generate_line("good")).encode()


def imported(client: Client, data: bytes) -> dict[str, object]:
    return client.get(client.create({"fileName": client.upload(data)["name"]}))


@pytest.mark.parametrize(
    "line, reason",
    [
        (b"{", "invalid JSON"),
        (b"[]", "a JSON object is expected"),
        (b'"text"', "a JSON object is expected"),
        (b"\xef\xbb\xbf" + GOOD, "invalid JSON"),
        (b'{"key": "\xff", "request": {}}', "invalid JSON"),
        (GOOD.replace(b'"Hello"', b"NaN"), "invalid JSON"),
        (GOOD.replace(b'"Hello"', b"5"), "invalid value 5 for TYPE_STRING"),
        (GOOD.replace(b'"good"', b"17"), "invalid value 17 for TYPE_STRING at 'key'"),
        (GOOD.replace(b'"user"', b'"assistant"'), "Please use a valid role: user, model."),
        (
            GOOD[:-2] + b', "thinking_config": {}}}',
            "no such field: 'thinking_config' at 'request'",
        ),
        (GOOD[:-1] + b', "custom_id": 1}', "no such field: 'custom_id'"),
        (b'{"key": "a"}', "request is not specified"),
        (b'{"key": "a", "request": {}}', "contents is not specified"),
        (b'{"custom_id": "a", "contents": []}', "no such field: 'custom_id'"),
        (b'{"key": "a", "request": {"content": {"parts": []}}}', "no such field: 'content'"),
        (GOOD[:-2] + b', "model": "models/other"}}', "the job's model is gemini-3.8-flash"),
        (b'{"generationConfig": {"responseSchema": ' + b'{"items":' * 990 + b"1", "invalid JSON"),
        (
            b'{"generationConfig": {"responseSchema": ' + b'{"items":' * 900 + b"{}" + b"}" * 902,
            "nested too deeply",
        ),
    ],
)
def test_a_broken_line_fails_the_whole_job_and_is_named(
    emulator: Emulator, client: Client, line: bytes, reason: str
) -> None:
    operation = imported(client, GOOD + b"\n\n" + line + b"\n" + GOOD + b"\n")
    assert operation["done"] is True
    assert operation["metadata"]["state"] == "BATCH_STATE_FAILED"  # type: ignore[index]
    error = operation["error"]
    assert isinstance(error, dict)
    assert error["code"] == 3
    assert error["message"].startswith("Failed to import data from files/")
    assert f"line 3: {reason}" in error["message"]
    assert "response" not in operation
    assert emulator.stats()["requests"] == {}


def test_keyed_bare_and_blank_lines_are_read(emulator: Emulator, client: Client) -> None:
    bare = json.dumps(text_request("bare")).encode()
    operation = imported(client, b"\n".join([GOOD, b"", b"  \r", bare + b"\r", GOOD]))
    assert operation["metadata"]["batchStats"]["requestCount"] == "3"  # type: ignore[index]
    assert emulator.stats()["requests"] == {"good": 2, "": 1}


def test_the_jobs_own_model_may_be_named_in_a_line(client: Client) -> None:
    line = GOOD[:-2] + b', "model": "models/gemini-3.8-flash"}}'
    assert "response" in imported(client, line)


def test_line_separators_of_unicode_do_not_end_a_line(client: Client) -> None:
    text = "one\u2028two\u2029three\u0085four"
    line = json.dumps(generate_line("a", text), ensure_ascii=False)
    operation = client.create({"fileName": client.upload(line.encode())["name"]})
    (answer,) = client.output(operation)
    assert answer["key"] == "a"


@pytest.mark.parametrize("data", [b"", b"\n \n"])
def test_a_file_without_requests_fails(client: Client, data: bytes) -> None:
    assert "no requests" in imported(client, data)["error"]["message"]  # type: ignore[index]


def test_a_line_too_long_to_hold_fails_the_job() -> None:
    with serve(limits=Limits(line_bytes=1000)) as emulator:
        client = Client(emulator)
        operation = imported(client, GOOD + b"\n" + b"x" * 5000)
        assert "line 2: longer than 1000 bytes" in operation["error"]["message"]  # type: ignore[index]
        client.session.close()


def test_embedding_lines_are_held_to_their_own_message(client: Client) -> None:
    line = {"key": "a", "request": {"contents": [{"parts": [{"text": "x"}]}]}}
    operation = client.get(client.create_from_lines([line], model="gemini-embedding-001"))
    assert "no such field: 'contents'" in operation["error"]["message"]
    line = {"key": "a", "request": {"content": {"parts": []}}}
    operation = client.get(client.create_from_lines([line], model="gemini-embedding-001"))
    assert "content is not specified" in operation["error"]["message"]
