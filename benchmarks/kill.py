"""The kill test, at length: drivers killed at every change of a file, and at random moments.

usage: python -m benchmarks.kill [--moments N] [--step N] [--seed N] [--minutes N]

Every run is driven on until it is done and then held against what it must be (tests/ordeal.py):
rows, statuses, requests paid for, what is at the service, and what is on disk. `--step 10` kills at
every tenth change only. After `--minutes` no more runs are begun, and what was left out is said.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchkit.emulator import JobFault, bigquery
from tests.ordeal import AMBIGUOUS, KILLED, arena, seeded_faults
from tests.warehouse import Warehouse, synced_python

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.ordeal import Arena, Ordeal

WAYS = ("inline", "file", "gs")
SHARES = {"inline": 3, "file": 3, "gs": 3, "bq": 1}  # a run over bq:// takes five times as long
KILLS = 4  # of one run
LAGGING = 5  # runs
JOB_SECONDS = 2.0
LOST = 0.05


@dataclass
class Figures:
    """What was done, and what it came to."""

    runs: int = 0
    moments: int = 0
    kills: int = 0
    drivers: int = 0
    rows: int = 0
    jobs: int = 0
    asked: int = 0
    paid: int = 0

    def add(self, ordeal: Ordeal, moments: int) -> None:
        """Count a run that was checked."""
        asked = ordeal.asked()
        self.runs += 1
        self.moments += moments
        self.kills += ordeal.ends.count(KILLED)
        self.drivers += len(ordeal.ends)
        self.rows += len(asked)
        self.jobs += len(ordeal.run.attempts())
        self.asked += asked.total()
        self.paid += ordeal.paid().total()

    def __str__(self) -> str:
        return (
            f"{self.runs} runs, {self.moments} moments, {self.kills} kills, {self.drivers} "
            f"drivers; {self.rows} rows asked {self.asked} times in {self.jobs} jobs, "
            f"{self.paid} paid"
        )


@dataclass
class Campaign:
    """One seed's worth of kills, until the time is up."""

    ground: Arena
    seed: int
    ends_at: float
    figures: dict[str, Figures] = field(default_factory=dict[str, Figures])

    @property
    def is_over(self) -> bool:
        """Whether no more is to be begun."""
        return time.monotonic() > self.ends_at

    def every_change(self, way: str, step: int) -> None:
        """Kill one driver before each change of a file, to the last."""
        for nth in itertools.count(1, step):
            ordeal = self.ground.ordeal(way)
            end = ordeal.drive(("change", nth))
            if end == 0 or self.is_over:
                last = nth - step if end == 0 else f"{nth - step}, and the time is up"
                print(f"  {way}: killed before changes 1 to {last}", flush=True)
                return
            self._finish(ordeal, f"every change, {way}", 1)

    def random_moments(self, count: int) -> None:
        """Kill drivers of runs at so many moments, while much goes wrong."""
        done = 0
        for number in itertools.count():
            if done >= count or self.is_over:
                break
            draw = random.Random(f"{self.seed} {number}")  # noqa: S311  # to be repeated
            way = draw.choices([*SHARES], [*SHARES.values()])[0]
            faults = seeded_faults(draw, way) if number % 3 else ()
            seconds = self.ground.seconds(way)
            ordeal = self.ground.ordeal(way, faults)
            self.ground.trap.lose(LOST, number)
            moments = min(KILLS, count - done)
            for _ in range(moments):
                ordeal.drive_for(draw.uniform(0, seconds))
            done += moments
            self._finish(ordeal, f"random moments, {way}", moments)

    def _finish(self, ordeal: Ordeal, name: str, moments: int) -> None:
        end = ordeal.finish()
        self.ground.trap.lose(0)
        try:
            assert end == 0  # noqa: S101  # a test, if not one of pytest's
            ordeal.check()
        except AssertionError:
            print(f"{name}: {ordeal.folder}, drivers ended {ordeal.ends}, {ordeal.faults}")
            raise
        self.figures.setdefault(name, Figures()).add(ordeal, moments)


def lagging(ground: Arena, way: str, seconds: float) -> Counter[str]:
    """Kill drivers as their first job is made, which lists show so many seconds later."""
    outcomes: Counter[str] = Counter()
    for _ in range(LAGGING):
        ordeal = ground.ordeal(way, [JobFault("hide", seconds=seconds)])
        ordeal.drive_to("batch.created", 1)
        is_ambiguous = ordeal.finish() == AMBIGUOUS or bool(ordeal.run.twins())
        twice = (ordeal.paid() - ordeal.asked()).total()
        outcomes["runs"] += 1
        outcomes["ambiguous"] += is_ambiguous
        outcomes["paid twice and not ambiguous"] += bool(twice) and not is_ambiguous
        outcomes["rows paid twice"] += twice
    return outcomes


@contextlib.contextmanager
def warehouse() -> Iterator[Warehouse]:
    """A stand-in for BigQuery."""
    with bigquery.serve(python=synced_python()) as server:
        there = Warehouse(server, 0)
        yield there
        there.close()


def main() -> None:
    """Do it, and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--moments", type=int, default=500)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60)
    given = parser.parse_args()
    started = time.monotonic()
    with warehouse() as there, arena() as ground:
        ground.use(there)
        campaign = Campaign(ground, given.seed, started + 60 * given.minutes)
        campaign.random_moments(given.moments)
        for way in WAYS:
            campaign.every_change(way, given.step)
        for name, figures in sorted(campaign.figures.items()):
            print(f"{name}: {figures}")
        total = sum(figures.moments for figures in campaign.figures.values())
        print(f"{total} moments, no row lost, none paid twice: {time.monotonic() - started:.0f} s")
    with arena(job_seconds=JOB_SECONDS) as ground:
        # Longer than it is waited for; then shown by the job's end, and not even then.
        for seconds in (JOB_SECONDS, 10 * JOB_SECONDS):
            for way in ("inline", "gs"):
                said = dict(lagging(ground, way, seconds))
                print(f"lists lag for {seconds:g} s, {way}, counted apart: {said}")
    if campaign.is_over:
        sys.exit(f"the time of {given.minutes:g} minutes was up before all was done")


if __name__ == "__main__":
    main()
