from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from .client import Client, generate_line

if TYPE_CHECKING:
    from batchkit.emulator import Clock, Emulator


def test_statistics_are_the_same_by_http_and_without_a_key(
    emulator: Emulator, client: Client
) -> None:
    client.create_from_lines([generate_line("a"), generate_line("a"), generate_line("b")])
    reply = requests.get(f"{client.url}/_emulator/stats", timeout=10)
    stats = reply.json()
    assert stats == emulator.stats()
    assert stats["jobs"] == {"BATCH_STATE_SUCCEEDED": 1}
    assert stats["files"] == 2
    assert stats["requests"] == {"a": 2, "b": 1}


def test_bytes_are_those_of_all_files(emulator: Emulator, client: Client) -> None:
    assert emulator.stats()["bytes"] == 0
    client.upload(b"x" * 100)
    client.upload(b"x" * 11)
    assert emulator.stats()["bytes"] == 111


def test_the_map_of_requests_can_be_left_out(client: Client) -> None:
    stats = client.send("GET", "/_emulator/stats?requests=0").json()
    assert "requests" not in stats


def test_another_process_can_move_the_clock(client: Client, clock: Clock) -> None:
    before = clock.now()
    reply = client.send("POST", "/_emulator/clock", json={"advance": 1.5})
    assert reply.json() == {"now": "2026-01-06T11:09:13.443530000Z"}
    assert (clock.now() - before).total_seconds() == 1.5


@pytest.mark.parametrize(
    "body",
    [{}, {"advance": -1}, {"advance": "soon"}, {"advance": 1e12}, {"advance": 1e300}, [], None],
)
def test_a_clock_takes_seconds_only(client: Client, clock: Clock, body: object) -> None:
    before = clock.now()
    assert client.send("POST", "/_emulator/clock", json=body).status_code == 400
    assert clock.now() == before
    client.create_from_lines([generate_line("a")])
