from __future__ import annotations

import typing
from typing import TYPE_CHECKING

import pytest

import batchkit as bk
from batchkit import events
from batchkit.events import Built, Collected, Event, Polled, Said, Sent, Transferred

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Service

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")


def told_of(folder: Path, service: Service, texts: list[str | None]) -> list[Event]:
    told: list[Event] = []
    table = [{"id": i, "text": text} for i, text in enumerate(texts)]
    bk.run(
        table,
        SPEC,
        key="id",
        into=folder,
        target="file",
        limits={"max_rows": 2},
        client=service.client,
        poll_seconds=0.01,
        progress=told.append,
    )
    return told


def test_a_run_tells_events_of_every_kind_and_no_other(tmp_path: Path, service: Service) -> None:
    told = told_of(tmp_path / "run", service, ["a", "b", "c", None])
    assert {type(event) for event in told} == set(typing.get_args(Event))


def test_every_event_is_public() -> None:
    names = {kind.__name__ for kind in typing.get_args(Event)}
    assert {*names, "Event", "Progress"} == set(events.__all__)


def test_counts_only_grow_and_end_at_their_total(tmp_path: Path, service: Service) -> None:
    told = told_of(tmp_path / "run", service, ["a", "b", "c", "d", None])
    built = [(event.rows, event.total) for event in told if isinstance(event, Built)]
    sent = [(event.shards, event.total) for event in told if isinstance(event, Sent)]
    files = [(event.files, event.total) for event in told if isinstance(event, Collected)]
    assert (built[0], built[-1]) == ((0, 5), (5, 5))
    assert sent == [(0, 2), (1, 2), (2, 2)]
    assert files == [(1, 2), (2, 2)]


def test_bytes_are_told_up_and_down_for_each_shard(tmp_path: Path, service: Service) -> None:
    told = told_of(tmp_path / "run", service, ["a", "b", "c"])
    run = bk.open_run(tmp_path / "run")
    last = {(e.shard, e.is_upload): e for e in told if isinstance(e, Transferred)}
    for shard, attempt in zip(run.shards.shards, run.attempts(), strict=True):
        size = run.responses_path(attempt).stat().st_size
        up, down = last[shard.name, True], last[shard.name, False]
        assert (up.bytes, up.total) == (shard.bytes, shard.bytes)
        assert (down.bytes, down.total) == (size, size)


def test_a_job_is_told_as_it_was_seen_with_its_shard(tmp_path: Path, service: Service) -> None:
    told = told_of(tmp_path / "run", service, ["a", "b", "c"])
    run = bk.open_run(tmp_path / "run")
    seen = {event.shard: event for event in told if isinstance(event, Polled)}
    assert [seen[a.shard].job.name for a in run.attempts()] == [a.job for a in run.attempts()]
    assert [seen[shard.name].requests for shard in run.shards.shards] == [2, 1]


def test_what_asks_for_attention_is_a_warning(tmp_path: Path, service: Service) -> None:
    told = told_of(tmp_path / "run", service, ["a", None])
    said = {event.text: event.is_warning for event in told if isinstance(event, Said)}
    rejected = tmp_path / "run" / "rejected.jsonl"
    assert said == {
        f"run directory: {tmp_path / 'run'}": False,
        f"1 of 2 rows could not become requests: see {rejected}": True,
    }


def test_a_callback_that_raises_stops_the_run_and_the_next_goes_on(
    tmp_path: Path, service: Service
) -> None:
    def fail_at(kind: type) -> typing.Callable[[Event], None]:
        def progress(event: Event) -> None:
            if type(event) is kind:
                raise InterruptedError(kind.__name__)

        return progress

    for kind in (Built, Sent, Polled, Collected):
        with pytest.raises(InterruptedError, match=kind.__name__):
            bk.run(
                [{"text": "a"}],
                SPEC,
                into=tmp_path / "run",
                client=service.client,
                progress=fail_at(kind),
            )
    results = bk.run([{"text": "a"}], SPEC, into=tmp_path / "run", client=service.client)
    assert results.tally()["ok"] == 1
    assert service.paid() == {"0": 1}
