from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from batchkit.display.board import Board
from batchkit.events import Built, Collected, Polled, Sent, Transferred
from batchkit.service.job import BatchJob, CompletionStats, JobState


def job(state: JobState, done: int = 0) -> BatchJob:
    return BatchJob("batches/x", state, completion_stats=CompletionStats(10, done, 0))


def text(board: Board, *, is_final: bool = False) -> list[str]:
    console = Console(file=io.StringIO(), width=120)
    console.print(board.render(is_final=is_final))
    return [line.strip() for line in console.file.getvalue().split("\n") if line.strip()]  # type: ignore[attr-defined]


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
    assert lines[0].startswith("00000 running")
    assert "4/10 batches/x" in lines[0]
    assert "14/20 requests, 1 of 2 jobs ended" in lines[1]
    board.update(Polled("00000", 10, job(JobState.SUCCEEDED, 10)))
    assert [line for line in text(board) if line.startswith("00000")] == []


def test_many_jobs_do_not_fill_the_screen() -> None:
    board = Board()
    for number in range(30):
        board.update(Polled(f"{number:05d}", 10, job(JobState.PENDING)))
    lines = text(board)
    assert "… and 18 more jobs" in lines
    assert len(lines) == 14


def test_a_transfer_shows_until_it_is_whole() -> None:
    board = Board()
    board.update(Transferred("00000", 5_000_000, 20_000_000, is_upload=True))
    assert text(board)[0].startswith("upload 00000")
    board.update(Transferred("00000", 20_000_000, 20_000_000, is_upload=True))
    assert text(board) == []


def test_the_last_picture_has_nothing_that_differs_from_run_to_run() -> None:
    board = Board()
    board.update(Polled("00000", 10, job(JobState.SUCCEEDED, 10)))
    assert text(board, is_final=True)[0].endswith("10/10 requests, 1 of 1 jobs ended")
    assert "·" in text(board)[0]
