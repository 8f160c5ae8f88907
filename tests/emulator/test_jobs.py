from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchkit.emulator import Clock
from batchkit.emulator.jobs import Job, Jobs
from batchkit.emulator.paging import Page
from batchkit.emulator.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECOND = 1_000_000_000
# Created at 0 it waits ten seconds, runs for twenty and could do so for fifty.
PLANNED = Job(
    id="one",
    kind="generate",
    model="gemini-3.8-flash",
    display_name="",
    file_name="files/a",
    priority=0,
    total=7,
    created=0,
    starts=10 * SECOND,
    due=30 * SECOND,
    expires=60 * SECOND,
)


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    state = State(tmp_path / "state.sqlite", Clock(), seed=0)
    yield Jobs(state)
    state.close()


@settings(deadline=None)
@given(total=st.integers(0, 10**7), instants=st.lists(st.integers(0, 60 * SECOND), min_size=2))
def test_rows_are_answered_from_start_to_due_and_never_unanswered(
    total: int, instants: list[int]
) -> None:
    job = replace(PLANNED, total=total)
    counts = [job.answered(at) for at in sorted(instants)]
    assert counts == sorted(counts)
    assert 0 <= counts[0] <= counts[-1] <= total
    assert job.answered(job.starts) == 0
    assert job.answered(job.due) == total


@settings(deadline=None)
@given(at=st.integers(0, 60 * SECOND), total=st.integers(0, 100))
def test_a_job_that_takes_no_time_is_all_pending_and_then_all_answered(at: int, total: int) -> None:
    job = replace(PLANNED, due=PLANNED.starts, total=total)
    pending = job.state_at(at) == "PENDING"
    assert pending == (at <= job.starts)
    assert job.answered(at) == (0 if pending else total)


def test_what_has_ended_stays_as_it_ended() -> None:
    ended = replace(PLANNED, state="CANCELLED", succeeded=2, failed=1)
    for at in (0, 20 * SECOND, 10**18):
        assert (ended.state_at(at), ended.answered(at)) == ("CANCELLED", 3)


def test_a_job_is_kept_and_kept_again_with_what_has_happened(jobs: Jobs) -> None:
    assert jobs.find("one") is None
    jobs.keep(PLANNED)
    assert jobs.find("one") == PLANNED
    ended = replace(
        PLANNED, imported=True, state="FAILED", ended=5, error_code=3, error_message="x"
    )
    jobs.keep(ended)
    assert jobs.all() == [ended]
    jobs.drop("one")
    jobs.drop("one")
    assert jobs.find("one") is None


def test_a_page_has_the_newest_first_and_one_more_when_there_are_more(jobs: Jobs) -> None:
    for name in "abc":
        jobs.keep(replace(PLANNED, id=name))
    page = jobs.page(Page(size=1, before=1 << 62))
    assert [job.id for _, job in page] == ["c", "b"]
    rest = jobs.page(Page(size=5, before=page[0][0]))
    assert [job.id for _, job in rest] == ["b", "a"]


@pytest.mark.parametrize(
    "at, alive, due",
    [
        (0, 1, []),
        (9, 1, []),
        (10, 1, ["one"]),
        (29, 1, ["one"]),
        (30, 0, ["one"]),
        (60, 0, ["one"]),
    ],
)
def test_a_job_takes_room_until_it_is_due_and_is_seen_to_when_something_happens(
    jobs: Jobs, at: int, alive: int, due: list[str]
) -> None:
    jobs.keep(PLANNED)
    assert (jobs.alive(at * SECOND), jobs.due(at * SECOND)) == (alive, due)


def test_an_imported_job_is_left_alone_until_it_is_due_and_an_ended_one_for_ever(
    jobs: Jobs,
) -> None:
    jobs.keep(replace(PLANNED, imported=True))
    assert jobs.due(29 * SECOND) == []
    assert jobs.due(30 * SECOND) == ["one"]
    jobs.keep(replace(PLANNED, imported=True, state="SUCCEEDED"))
    assert jobs.due(10**18) == []


def test_every_key_is_counted_as_it_is_written(jobs: Jobs) -> None:
    keys = ["a", "A", "", "a\0b", "a\0c", "é", "e\u0301", "🙂", "a"]
    jobs.count_processed(keys)
    jobs.count_processed(["a\0b"])
    assert jobs.processed() == dict.fromkeys(keys, 1) | {"a": 2, "a\0b": 2}
