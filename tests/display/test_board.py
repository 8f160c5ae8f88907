from __future__ import annotations

import gc
import io
import time
import weakref
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from batchkit.display.board import Board
from batchkit.events import Built, Collected, Polled, Sent, Transferred
from batchkit.service.job import BatchJob, CompletionStats, JobState


def job(state: JobState, done: int = 0, name: str = "batches/x") -> BatchJob:
    return BatchJob(name, state, completion_stats=CompletionStats(10, done, 0))


def text(board: Board, width: int = 120, height: int = 24, *, is_final: bool = False) -> list[str]:
    output = io.StringIO()
    console = Console(file=output, width=width)
    console.print(board.render(width, height, is_final=is_final))
    return [line.strip() for line in output.getvalue().split("\n") if line.strip()]


def test_an_empty_board_shows_nothing() -> None:
    assert text(Board()) == []


def test_each_step_has_its_line() -> None:
    board = Board()
    for event in (Built(1_500, 3_000, Path("run")), Sent(1, 2), Collected(2, 2)):
        board.update(event)
    lines = text(board)
    assert lines[0].startswith("build")
    assert lines[0].endswith("1,500/3,000 rows")
    assert lines[1].endswith("1/2 jobs")
    assert lines[2].endswith("2/2 files")


def test_a_running_job_has_a_line_that_goes_when_it_ends() -> None:
    board = Board()
    board.update(Polled("00000", 10, job(JobState.RUNNING, 4)))
    board.update(Polled("00001", 10, job(JobState.SUCCEEDED, 10)))
    lines = text(board)
    assert lines[0].startswith("00000 ")
    assert lines[0].endswith("4/10 running, batches/x")
    assert "14/20 requests, 1/2 jobs ended, " in lines[1]
    board.update(Polled("00000", 10, job(JobState.SUCCEEDED, 10)))
    assert [line for line in text(board) if line.startswith("00000")] == []


def test_a_job_that_the_service_no_longer_knows_has_ended() -> None:
    board = Board()
    gone = Polled("00000", 10, BatchJob("batches/x", JobState.UNSPECIFIED, raw_state="deleted"))
    board.update(gone)
    assert board.milestone(gone) == "job batches/x deleted, 1 ended"
    assert [line.split()[0] for line in text(board)] == ["wait"]


def test_more_jobs_than_the_screen_has_lines_are_counted_by_state() -> None:
    board = Board()
    board.update(Sent(60, 60))
    for number in range(60):
        state = JobState.RUNNING if number >= 40 else JobState.PENDING
        board.update(Polled(f"{number:05d}", 10, job(state, done=number // 50)))
    lines = text(board, 80, 12)
    assert len(lines) == 12
    assert [line[:5] for line in lines[1:10]] == [f"{n:05d}" for n in range(50, 59)]  # at work
    assert lines[-2] == "and 11 running, 40 pending"
    assert "0/60 jobs ended" in lines[-1]
    assert len(text(board, 80, 100)) == 62


@given(
    width=st.integers(60, 200),
    height=st.integers(8, 60),
    jobs=st.integers(0, 70),
    requests=st.integers(1, 1_000_000),
)
@example(width=77, height=8, jobs=2, requests=64_513)  # exactly as long as there is room
def test_a_board_fits_its_screen(width: int, height: int, jobs: int, requests: int) -> None:
    board = Board(began_waiting=time.monotonic() - 90_000)
    board.update(Built(jobs * requests, jobs * requests, Path("run")))
    board.update(Sent(jobs, jobs))
    for number in range(jobs):
        name = f"batches/{'x' * 40}"
        for done in (0, number):
            stats = CompletionStats(requests, done, 0)
            event = BatchJob(name, JobState.RUNNING, completion_stats=stats)
            board.update(Polled(f"{number:05d}", requests, event))
    lines = text(board, width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    if jobs > 1:
        assert f"0/{jobs} jobs ended, about " in lines[-1]
        assert " left" in lines[-1]


def test_the_time_left_counts_what_was_done_since_waiting_began() -> None:
    board = Board()
    board.update(Polled("00000", 100, job(JobState.RUNNING, 50)))  # done before we looked
    board.began_waiting = time.monotonic() - 60
    assert "left" not in text(board)[-1]
    board.update(Polled("00000", 100, job(JobState.RUNNING, 60)))
    assert "60/100 requests, 0/1 jobs ended, about 0:04:00 left, 0:01:00 so far" in text(board)[-1]
    board.began_waiting -= 30  # half a minute later, without another look
    board.last_looked -= 30
    assert "about 0:03:30 left, 0:01:30 so far" in text(board)[-1]


def test_the_time_left_counts_shards_that_have_no_job_yet() -> None:
    board = Board()
    board.update(Sent(1, 4))
    board.update(Polled("00000", 100, job(JobState.RUNNING, 0)))
    board.began_waiting = time.monotonic() - 60
    board.update(Polled("00000", 100, job(JobState.RUNNING, 50)))
    assert "0/4 jobs ended, about 0:07:00 left" in text(board)[-1]


@pytest.mark.parametrize(
    "event, said",
    [
        (Built(1, 1, Path("run")), "built 1 row"),
        (Built(1_200, 1_200, Path("run")), "built 1,200 rows"),
        (Built(1, 2, Path("run")), None),
        (Sent(1, 1), "submitted 1 job"),
        (Collected(2, 2), "collected 2 files"),
        (Polled("00000", 10, job(JobState.FAILED)), "job batches/x failed, 1 ended"),
        (Polled("00000", 10, job(JobState.RUNNING)), None),
        (Transferred("00000", 1, 1, is_upload=True), None),
    ],
)
def test_the_end_of_something_is_a_milestone(event: Built, said: str | None) -> None:
    board = Board()
    board.update(event)
    assert board.milestone(event) == said


def test_a_transfer_shows_until_it_is_whole() -> None:
    board = Board()
    board.update(Transferred("00000", 5_000_000, 20_000_000, is_upload=True))
    (line,) = text(board)
    assert line.startswith("upload ")
    assert line.endswith("5.0/20.0 MB, 00000")
    board.update(Transferred("00000", 20_000_000, 20_000_000, is_upload=True))
    assert text(board) == []


def test_a_transfer_of_unknown_length_shows_what_has_come_until_it_is_collected() -> None:
    board = Board()
    board.update(Transferred("00000", 5_000_000, None, is_upload=False))
    assert text(board)[0].endswith("5.0 MB, 00000")
    board.update(Collected(1, 1))
    assert [line.split()[0] for line in text(board)] == ["collect"]


def test_a_board_does_not_keep_the_responses_of_a_job() -> None:
    board = Board()
    content = set("responses")
    there = weakref.ref(content)
    event = Polled("00000", 1, BatchJob("batches/x", JobState.SUCCEEDED, content={"x": content}))
    board.update(event)
    del event, content
    gc.collect()
    assert there() is None


def test_the_last_picture_has_nothing_that_differs_from_run_to_run() -> None:
    board = Board()
    board.update(Polled("00000", 10, job(JobState.SUCCEEDED, 10)))
    assert text(board, is_final=True)[0].endswith("10/10 requests, 1/1 jobs ended")
    assert text(board)[0].endswith("10/10 requests, 1/1 jobs ended in 0:00:00")
