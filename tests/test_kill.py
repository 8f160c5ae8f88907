"""A driver killed anywhere is followed by one that finishes: no row lost, none paid for twice.

So is one that meets a full disk. `just kill-test` does the same for longer.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import subprocess
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow.parquet as pq
import pytest

import batchkit as bk
from batchkit.emulator import Emulator, serve
from tests.disaster import FULL, HELD, drive_or_be_told, drive_with_small_files, exit_code
from tests.driver import FORKS, drive
from tests.ordeal import KILLED, Arena, arena, seeded_faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess
    from pathlib import Path

# Of Google's library for BigQuery, which calls another of Google's libraries.
pytestmark = pytest.mark.filterwarnings("ignore:Retrieving Arrow:PendingDeprecationWarning")

# Facts of a drive to the end: three shards, of which two have rows that are asked again.
FACTS = {"inline": 22, "file": 27, "gs": 27}
# What the service does for the driver, as it does it: the reply is lost with the driver.
EFFECTS = {
    "inline": ["batch.created", "batch.processed"],
    "file": [
        "upload.started",
        "upload.received",
        "file.created",
        "batch.created",
        "batch.processed",
    ],
    "gs": ["object.created", "batch.created", "batch.processed"],
}
# Of five; the last two are of rows that are asked again.
JOBS = (1, 5)
MOST_CHANGES = 250


@pytest.fixture(scope="module")
def ground() -> Iterator[Arena]:
    with arena() as made:
        yield made


@pytest.mark.parametrize(
    "way, nth",
    [
        (way, n)
        for way, facts in FACTS.items()
        for n in range(1, facts + 1, 1 if way == "file" else 2)
    ],
)
def test_killed_after_any_fact(ground: Arena, way: str, nth: int) -> None:
    ordeal = ground.ordeal(way)
    assert ordeal.drive(("fact", nth)) == KILLED
    assert ordeal.finish() == 0
    ordeal.check()


@pytest.mark.parametrize("way", FACTS)
def test_no_fact_is_left_out(ground: Arena, way: str) -> None:
    ordeal = ground.ordeal(way)
    assert ordeal.drive(("fact", FACTS[way] + 1)) == 0
    ordeal.check()


@pytest.mark.parametrize(
    "way, effect, nth",
    [(way, effect, n) for way, effects in EFFECTS.items() for effect in effects for n in JOBS],
)
def test_killed_before_the_reply_to_any_effect(
    ground: Arena, way: str, effect: str, nth: int
) -> None:
    ordeal = ground.ordeal(way)
    assert ordeal.drive_to(effect, nth) == KILLED
    assert ordeal.finish() == 0
    ordeal.check()


@pytest.mark.parametrize("way, first", [("inline", 5), ("file", 15), ("gs", 25)])
def test_killed_before_a_change_of_a_file(ground: Arena, way: str, first: int) -> None:
    for nth in range(first, MOST_CHANGES, 47):
        ordeal = ground.ordeal(way)
        assert ordeal.drive(("change", nth)) in {KILLED, 0}
        assert ordeal.finish() == 0
        ordeal.check()


@pytest.mark.parametrize("way, seed", [*itertools.product(FACTS, range(3)), ("bq", 0), ("bq", 1)])
def test_killed_at_random_moments_while_much_goes_wrong(
    request: pytest.FixtureRequest, ground: Arena, way: str, seed: int
) -> None:
    draw = random.Random(f"{way} {seed}")  # noqa: S311  # to be repeated, not to be kept secret
    if way == "bq":
        ground.use(request.getfixturevalue("bigquery"))
    seconds = ground.seconds(way)
    ordeal = ground.ordeal(way, seeded_faults(draw, way))
    ground.trap.lose(0.1, seed)
    for _ in range(3):
        ordeal.drive_for(draw.uniform(0, seconds))
    assert ordeal.finish() == 0
    ground.trap.lose(0)
    ordeal.check()


ROWS = 10  # three shards of at most four
SHARDS = 3


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    frame = pd.DataFrame({"id": [f"k{i}" for i in range(ROWS)], "text": "hello"})
    frame.to_parquet(path, row_group_size=7)
    return path


def start(emulator: Emulator, table: Path, target: str) -> BaseProcess:
    service = (emulator.url, emulator.api_key)
    process = FORKS.Process(target=drive, args=(str(table), target, service))
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
