from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import batchkit as bk
from batchkit.display.board import Board
from batchkit.emulator import Limits, serve
from tests.conftest import quick_client

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.emulator import Emulator
    from batchkit.events import Event

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
SHARDS = 100
SEVEN_SHARDS_TOKENS = 7 * 14 + 13  # by the count of the emulator


def built(folder: Path, shards: int = SHARDS, **limits: int) -> bk.Run:
    rows = [{"id": number, "text": "x" * 50} for number in range(shards)]
    given = {"max_rows": 1, **limits}
    return bk.build(rows, SPEC, key="id", into=folder, target="inline", limits=given)


def facts(run: bk.Run, kind: str) -> int:
    return sum(fact.kind == kind for attempt in run.attempts() for fact in attempt.facts)


def finish(run: bk.Run, emulator: Emulator, tell: Any = None) -> None:
    client = quick_client(emulator)
    bk.submit(run, client=client, progress=tell)
    bk.wait(run, client=client, poll_seconds=0.05, settle_seconds=0.1, progress=tell)
    assert bk.collect(run, client=client).tally()["ok"] == run.shards.rows
    assert set(emulator.stats()["requests"].values()) == {1}


@pytest.mark.parametrize(
    "limits", [Limits(concurrent_jobs=7), Limits(enqueued_tokens=SEVEN_SHARDS_TOKENS)]
)
def test_a_hundred_shards_pass_where_seven_fit_and_few_are_refused(
    tmp_path: Path, limits: Limits
) -> None:
    run = built(tmp_path / "run")
    lefts: list[str] = []
    board = Board()

    def tell(event: Event) -> None:
        board.update(event)
        lefts.extend(str(cell) for cell in board.render().columns[2].cells if " left" in str(cell))

    with serve(limits=limits, job_seconds=0.3) as emulator:
        finish(run, emulator, tell)
    changes = SHARDS - 7
    assert 1 <= facts(run, "refused") <= changes // 10
    assert lefts


def test_what_the_user_allows_is_never_exceeded(tmp_path: Path) -> None:
    run = built(tmp_path / "run", shards=10, max_jobs=3)
    with serve(limits=Limits(concurrent_jobs=3), job_seconds=0.1) as emulator:
        first = bk.submit(run, client=quick_client(emulator))
        assert (first.sent, first.total) == (3, 10)
        assert first.held == "3 jobs are under way, of 3"
        finish(run, emulator)
    assert facts(run, "refused") == 0
    assert facts(run, "held") > 0


def test_what_was_never_submitted_is_not_submitted_by_waiting(tmp_path: Path) -> None:
    run = built(tmp_path / "run", shards=2)
    with serve() as emulator:
        bk.wait(run, client=quick_client(emulator), poll_seconds=0.01)
        assert emulator.stats()["jobs"] == {}


def test_held_shards_are_submitted_by_another_process_that_waits(tmp_path: Path) -> None:
    run = built(tmp_path / "run", shards=5)
    with serve(limits=Limits(concurrent_jobs=2), job_seconds=0.1) as emulator:
        bk.submit(run, client=quick_client(emulator))
        again = bk.open_run(run.folder)
        bk.wait(again, client=quick_client(emulator), poll_seconds=0.05)
        assert bk.collect(again, client=quick_client(emulator)).tally()["ok"] == 5
