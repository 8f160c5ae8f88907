"""A driver killed anywhere is followed by one that finishes: no row lost, none paid for twice.

So is one that meets a full disk.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

import batchkit as bk
from batchkit.emulator import AnswerError, Emulator, echo, serve
from tests.disaster import FULL, HELD, drive_or_be_told, drive_with_small_files, exit_code
from tests.driver import FORKS, drive, drive_twice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess
    from pathlib import Path

ROWS = 10  # three shards of at most four
SHARDS = 3
FACTS = {"inline": 4 * SHARDS, "file": 5 * SHARDS}
# What the service does for the driver, as it does it: the reply is lost with the driver.
EFFECTS = {
    "inline": {"batch.created": SHARDS, "batch.processed": SHARDS},
    "file": {
        "upload.started": SHARDS,
        "upload.received": SHARDS,
        "file.created": SHARDS,
        "batch.created": SHARDS,
        "batch.processed": SHARDS,
    },
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    frame = pd.DataFrame({"id": [f"k{i}" for i in range(ROWS)], "text": "hello"})
    frame.to_parquet(path, row_group_size=7)
    return path


def start(emulator: Emulator, table: Path, target: str, die_at: int = 0) -> BaseProcess:
    service = (emulator.url, emulator.api_key)
    process = FORKS.Process(target=drive, args=(str(table), target, service, die_at))
    process.start()
    return process


def finish(emulator: Emulator, table: Path, target: str) -> None:
    """Drive again without a killer, and hold everything against what it must have come to."""
    process = start(emulator, table, target)
    process.join(60)
    assert process.exitcode == 0
    run = bk.open_run(table.parent / "run")
    result = pq.read_table(table.parent / "run" / "out.parquet")
    assert result.column("id").to_pylist() == [f"k{i}" for i in range(ROWS)]
    assert run.tally()["ok"] == ROWS
    stats = emulator.stats()
    assert stats["requests"] == {f"k{i}": 1 for i in range(ROWS)}
    assert sum(stats["jobs"].values()) == SHARDS
    if target == "file":
        assert stats["files"] == 2 * SHARDS  # requests and responses: no orphaned upload
    left_over = [path for path in run.folder.rglob("*.tmp") if path.is_file()]
    assert left_over == []


@pytest.mark.parametrize(
    "target, die_at", [(target, n) for target, facts in FACTS.items() for n in range(1, facts + 1)]
)
def test_killed_after_any_fact(table: Path, target: str, die_at: int) -> None:
    with serve() as emulator:
        process = start(emulator, table, target, die_at)
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        finish(emulator, table, target)


@pytest.mark.parametrize(
    "target, effect, nth",
    [
        (target, effect, nth)
        for target, effects in EFFECTS.items()
        for effect, count in effects.items()
        for nth in range(1, count + 1)
    ],
)
def test_killed_before_the_reply_to_any_effect(
    table: Path, target: str, effect: str, nth: int
) -> None:
    victims: list[int] = []

    def kill_at(kind: str, _: str) -> None:
        if victims and kind == effect:
            seen.append(kind)
            if len(seen) == nth:
                os.kill(victims.pop(), signal.SIGKILL)

    seen: list[str] = []
    with serve(on_effect=kill_at) as emulator:
        process = start(emulator, table, target)
        victims.append(process.pid)
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        finish(emulator, table, target)


# Rows that fail, by how often they do: asked twice at most, the last one never gets its answer.
FAILING = {"k1": 1, "k2": 1, "k9": 99}
ALL_FACTS = {name: facts + (facts // SHARDS + 1) * 3 for name, facts in FACTS.items()}


@dataclass
class Failing:
    """A model that fails such rows."""

    asked: Counter[str] = field(default_factory=Counter[str])

    def __call__(self, kind: Any, model: str, request: dict[str, Any]) -> dict[str, Any]:
        key = request["contents"][0]["parts"][0]["text"].rpartition(" ")[2]
        self.asked[key] += 1
        if self.asked[key] <= FAILING.get(key, 0):
            raise AnswerError(14, "try again")
        return echo(kind, model, request)


@pytest.fixture
def failing_table(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    keys = [f"k{i}" for i in range(ROWS)]
    pd.DataFrame({"id": keys, "text": keys}).to_parquet(path)
    return path


def start_twice(emulator: Emulator, table: Path, target: str, die_at: int = 0) -> BaseProcess:
    service = (emulator.url, emulator.api_key)
    process = FORKS.Process(target=drive_twice, args=(str(table), target, service, die_at))
    process.start()
    return process


def finish_twice(emulator: Emulator, table: Path, target: str) -> None:
    process = start_twice(emulator, table, target)
    process.join(60)
    assert process.exitcode == 0
    run = bk.open_run(table.parent / "run")
    result = pq.read_table(table.parent / "run" / "out.parquet")
    assert result.column("id").to_pylist() == [f"k{i}" for i in range(ROWS)]
    assert result.column("status").to_pylist() == ["ok"] * (ROWS - 1) + ["error"]
    stats = emulator.stats()
    assert stats["requests"] == {f"k{i}": 2 if f"k{i}" in FAILING else 1 for i in range(ROWS)}
    assert sum(stats["jobs"].values()) == SHARDS + len(FAILING)
    if target == "file":
        assert stats["files"] == 2 * (SHARDS + len(FAILING))
    asked = sorted(path.name for path in (run.folder / "requests").iterdir())
    again = ["00000-2.jsonl", "00000-3.jsonl", "00002-2.jsonl"]
    assert asked == sorted(["00000.jsonl", "00001.jsonl", "00002.jsonl", *again])


@pytest.mark.parametrize(
    "target, die_at",
    [(target, n) for target in FACTS for n in range(FACTS[target] + 1, ALL_FACTS[target] + 1)],
)
def test_killed_after_any_fact_of_a_retry(failing_table: Path, target: str, die_at: int) -> None:
    with serve(answerer=Failing()) as emulator:
        process = start_twice(emulator, failing_table, target, die_at)
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        finish_twice(emulator, failing_table, target)


@pytest.mark.parametrize(
    "target, effect, nth",
    [
        (target, effect, nth)
        for target, effects in EFFECTS.items()
        for effect in effects
        for nth in range(SHARDS + 1, SHARDS + len(FAILING) + 1)
    ],
)
def test_killed_before_the_reply_to_any_effect_of_a_retry(
    failing_table: Path, target: str, effect: str, nth: int
) -> None:
    victims: list[int] = []
    seen: list[str] = []

    def kill_at(kind: str, _: str) -> None:
        if victims and kind == effect:
            seen.append(kind)
            if len(seen) == nth:
                os.kill(victims.pop(), signal.SIGKILL)

    with serve(on_effect=kill_at, answerer=Failing()) as emulator:
        process = start_twice(emulator, failing_table, target)
        victims.append(process.pid)
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        finish_twice(emulator, failing_table, target)


@pytest.mark.parametrize("target", ["inline", "file"])
def test_of_two_drivers_at_once_one_is_told_of_the_other_and_nothing_is_paid_twice(
    table: Path, target: str
) -> None:
    with serve(job_seconds=0.2) as emulator:
        arguments = (str(table), target, (emulator.url, emulator.api_key))
        both = [FORKS.Process(target=drive_or_be_told, args=arguments) for _ in range(2)]
        for process in both:
            process.start()
        for process in both:
            process.join(60)
        assert {process.exitcode for process in both} <= {0, HELD}
        assert set(emulator.stats()["requests"].values()) <= {1}
        finish(emulator, table, target)


# From no room for anything to room for all but the result.
@pytest.mark.parametrize("target", ["inline", "file"])
def test_a_disk_that_is_full_at_any_file(tmp_path: Path, target: str) -> None:
    path = tmp_path / "table.parquet"
    texts = [os.urandom(200).hex() for _ in range(ROWS)]
    pd.DataFrame({"id": [f"k{i}" for i in range(ROWS)], "text": texts}).to_parquet(path)
    with serve() as emulator:
        service = (emulator.url, emulator.api_key)
        codes = [
            exit_code(drive_with_small_files, str(path), target, service, most)
            for most in (100, 1_000, 2_000, 4_000, 6_000, 8_000, 12_000, 16_000)
        ]
        assert set(codes) <= {0, FULL}
        assert codes.count(FULL) >= 4
        finish(emulator, path, target)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:  # noqa: S603
        pytest.skip("needs the right to mount a disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)  # noqa: S603, S607


@pytest.mark.parametrize("effect", ["batch.created", "upload.received", "batch.processed"])
def test_a_disk_that_is_full_before_the_fact_can_be_written(small_disk: Path, effect: str) -> None:
    table = small_disk / "table.parquet"
    frame = pd.DataFrame({"id": [f"k{i}" for i in range(ROWS)], "text": "hello"})
    frame.to_parquet(table)
    filler = small_disk / "filler"
    effects: list[str] = []

    def fill_at(kind: str, _: str) -> None:
        if kind == effect and not effects:
            effects.append(kind)
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4_096))

    with serve(on_effect=fill_at) as emulator:
        process = start(emulator, table, "file")
        process.join(60)
        assert process.exitcode == 1
        assert effects == [effect]
        filler.unlink()
        finish(emulator, table, "file")
