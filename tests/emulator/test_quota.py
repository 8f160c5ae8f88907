from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchkit.emulator import Limits, serve

from .client import MODEL, Client, generate_line, text_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchkit.emulator import Clock, Emulator

TEXT = "x" * 40  # ten tokens


@pytest.fixture
def narrow(clock: Clock) -> Iterator[Emulator]:
    """Thirty tokens of a model at once, in jobs that run for an hour."""
    with serve(clock=clock, limits=Limits(enqueued_tokens=30), job_seconds=3600) as emulator:
        yield emulator


def refusal(client: Client, count: int) -> str:
    """What a create with so many requests of ten tokens is refused with; empty when it is not."""
    items = [{"request": text_request(TEXT)} for _ in range(count)]
    batch = {"displayName": "t", "inputConfig": {"requests": {"requests": items}}}
    path = f"/v1beta/models/{MODEL}:batchGenerateContent"
    reply = client.send("POST", path, json={"batch": batch})
    return "" if reply.status_code == 200 else reply.json()["error"]["message"]


def test_tokens_of_jobs_that_have_not_ended_have_a_limit(narrow: Emulator) -> None:
    client = Client(narrow)
    assert refusal(client, 2) == ""
    assert f"30 enqueued batch tokens for {MODEL}" in refusal(client, 2)
    assert refusal(client, 1) == ""
    assert refusal(client, 1) != ""
    narrow.clock.advance(3600)
    assert refusal(client, 3) == ""


def test_a_job_that_is_cancelled_makes_room(narrow: Emulator) -> None:
    client = Client(narrow)
    job = client.create_inline([{"request": text_request(TEXT)} for _ in range(3)])
    assert refusal(client, 1) != ""
    client.call("POST", f"{job['name']}:cancel")
    assert refusal(client, 3) == ""


def test_a_file_counts_as_its_lines_do_inline(narrow: Emulator) -> None:
    client = Client(narrow)
    client.create_from_lines([generate_line("a", TEXT), text_request(TEXT)])
    assert refusal(client, 2) != ""
    assert refusal(client, 1) == ""


def test_models_do_not_take_each_others_room(narrow: Emulator) -> None:
    client = Client(narrow)
    assert refusal(client, 3) == ""
    item = {"request": {"content": {"parts": [{"text": TEXT}]}}}
    client.create_inline([item] * 3, model="gemini-embedding-001")
    with pytest.raises(AssertionError, match="30 enqueued batch tokens for gemini-embedding-001"):
        client.create_inline([item], model="gemini-embedding-001")


def test_a_refused_job_leaves_nothing_behind(narrow: Emulator) -> None:
    client = Client(narrow)
    assert refusal(client, 4) != ""
    assert client.call("GET", "batches") == {}
    assert [*(narrow.folder / "blobs").iterdir()] == []
