"""The verbs of a run in any order, with crashes and faults between: the balance always holds."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

import batchkit as bk
from batchkit.emulator import CallFault, JobFault, RowFault
from tests.ordeal import FATES, arena

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from batchkit.ledger import Attempt

JOB_SECONDS = 600.0
MOST_ATTEMPTS = 3
SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
# Waiting is not what is tested: a reply that is lost here is lost once its effect is listed.
TIMES = {"settle_seconds": 0.0}
RETRIES = bk.Retries(first_seconds=0.001, longest_seconds=0.005, total_seconds=0.05)

CALLS = st.builds(
    CallFault,
    st.sampled_from(["refuse", "lose", "cut"]),
    on=st.sampled_from(["create", "get", "list", "upload", "download"]),
    code=st.sampled_from([429, 500, 503]),
    times=st.sampled_from([1, 3, 30]),
)
JOBS = st.builds(
    JobFault,
    st.sampled_from(["expire", "fail", "cancel"]),
    answered=st.sampled_from([0.0, 0.5]),
    code=st.sampled_from([3, 13]),
    times=st.just(1),
)
ROWS = st.builds(
    RowFault,
    st.sampled_from(["drop", "repeat", "contradict", "unkey", "stray", "break", "error", "empty"]),
    where=st.sampled_from(["", " fine"]),
    times=st.just(1),
)
CRASH = st.none() | st.integers(1, 6)


class CrashError(BaseException):
    """The driver is gone: nothing catches it."""


class Crasher:
    """Ends a driver after its nth fact, or never."""

    def __init__(self, nth: int | None) -> None:
        self._left = nth or 0

    def __call__(self, *_: Any) -> None:
        self._left -= 1
        if self._left == 0:
            raise CrashError


class Verbs(RuleBasedStateMachine):
    """One run, and whatever is done to it."""

    @initialize(
        way=st.sampled_from(["inline", "file"]),
        fates=st.lists(st.sampled_from([*FATES, ""]), min_size=2, max_size=7),
        max_rows=st.integers(1, 4),
    )
    def table(self, way: str, fates: list[str], max_rows: int) -> None:
        self.opened = contextlib.ExitStack()
        self.ground = self.opened.enter_context(arena(job_seconds=JOB_SECONDS))
        self.folder = self.ground.folder
        self.run_folder = self.folder / "run"
        self.ids = [f"k{i}" if fate else None for i, fate in enumerate(fates)]
        texts = [f"{i} {fate}" for i, fate in enumerate(fates)]
        pd.DataFrame({"id": self.ids, "text": texts}).to_parquet(self.folder / "table.parquet")
        self.client = bk.Gemini(
            self.ground.emulator.api_key, base_url=self.ground.emulator.url, retries=RETRIES
        )
        self.way, self.max_rows = way, max_rows
        self.answered: dict[int, tuple[Any, ...]] = {}
        self.build()

    @contextlib.contextmanager
    def driver(self, crash: int | None = None) -> Generator[bk.Run]:
        """A driver that may be gone at a fact, and which what goes wrong may stop."""
        with contextlib.suppress(CrashError, bk.errors.ServiceError, bk.errors.WaitTimeoutError):
            yield bk.Run(self.run_folder, observe=[Crasher(crash)])

    @rule()
    def build(self) -> None:
        bk.build(
            self.folder / "table.parquet",
            SPEC,
            key="id",
            into=self.run_folder,
            target=self.way,
            on_bad_key="reject",
            limits={"max_rows": self.max_rows},
        )

    @rule(crash=CRASH)
    def submit(self, crash: int | None) -> None:
        with self.driver(crash) as run:
            bk.submit(run, client=self.client, **TIMES)

    @rule(jobs=st.integers(0, 2), kind=st.sampled_from(["lose", "cut"]))
    def submit_and_be_gone_as_a_job_is_made(self, jobs: int, kind: Any) -> None:
        """The job is there, and nobody has heard of it."""
        self.ground.emulator.inject(
            CallFault(kind, on="create", skip=jobs),
            CallFault("refuse", on="list", times=None, skip=1),
        )
        self.submit(None)
        self.ground.emulator.heal()

    @rule(again=st.booleans())
    def go_on(self, *, again: bool) -> None:
        """What a user does on a good day."""
        self.submit(None)
        self.time_passes(JOB_SECONDS)
        self.wait(None)
        if again:
            self.retry(None, MOST_ATTEMPTS, bisect=False)

    @rule(crash=CRASH)
    def wait(self, crash: int | None) -> None:
        with self.driver(crash) as run:
            bk.wait(run, client=self.client, timeout=0, **TIMES)

    @rule(seconds=st.sampled_from([JOB_SECONDS / 2, JOB_SECONDS]))
    def time_passes(self, seconds: float) -> None:
        self.ground.emulator.clock.advance(seconds)

    @rule(crash=CRASH, max_attempts=st.sampled_from([1, MOST_ATTEMPTS]), bisect=st.booleans())
    def retry(self, crash: int | None, max_attempts: int, *, bisect: bool) -> None:
        with self.driver(crash) as run:
            bk.retry(run, client=self.client, max_attempts=max_attempts, bisect=bisect)

    @rule(fault=CALLS | JOBS | ROWS)
    def fault(self, fault: Any) -> None:
        self.ground.emulator.inject(fault)

    @rule()
    def heal(self) -> None:
        self.ground.emulator.heal()

    @rule(dry_run=st.booleans())
    def cancel(self, *, dry_run: bool) -> None:
        with self.driver() as run:
            bk.cancel(run, client=self.client, dry_run=dry_run)

    @rule(dry_run=st.booleans(), unfetched=st.booleans(), jobs=st.booleans())
    def clean(self, *, dry_run: bool, unfetched: bool, jobs: bool) -> None:
        with self.driver() as run:
            bk.clean(run, client=self.client, dry_run=dry_run, unfetched=unfetched, jobs=jobs)

    @rule(crash=CRASH)
    def collect(self, crash: int | None) -> None:
        """Collecting again at once, when jobs need not be looked at, gives the same table."""
        with self.driver(crash) as run:
            table = bk.collect(run, client=self.client).to_pandas()
            self.check_table(table)
            again = bk.collect(run, client=self.client).to_pandas()
            if run.tally() == Counter(table["status"]):
                self.check_table(again)

    def check_table(self, table: pd.DataFrame) -> None:
        """Every row once, with the answer that it had before; the balance says the same."""
        assert [None if pd.isna(key) else key for key in table["id"]] == self.ids
        for number, status, response in zip(
            range(len(table)), table["status"], table["response"], strict=True
        ):
            if number in self.answered:
                assert (status, response) == self.answered[number]
            elif status == "ok":
                self.answered[number] = status, response
        audit = json.loads((self.run_folder / "audit.json").read_bytes())
        assert Counter(audit["statuses"]) == Counter(table["status"])

    @invariant()
    def every_row_has_one_status_and_answers_stay(self) -> None:
        tally = bk.open_run(self.run_folder).tally()
        assert sum(tally.values()) == len(self.ids)
        assert tally["rejected"] == self.ids.count(None)
        assert tally["ok"] >= len(self.answered)

    @invariant()
    def no_row_is_paid_more_often_than_it_was_asked(self) -> None:
        asked = self.asked(self.attempts())
        paid = self.ground.emulator.stats()["requests"]
        for number, key in enumerate(self.ids):
            assert paid.get(key, 0) <= asked[number] <= MOST_ATTEMPTS

    @invariant()
    def no_row_is_asked_twice_at_once_and_no_job_answers_for_two(self) -> None:
        attempts = bk.open_run(self.run_folder).attempts()
        to_come = self.asked(attempt for attempt in attempts if attempt.stage != "fetched")
        assert set(to_come.values()) <= {1}
        jobs = [attempt.job for attempt in attempts if attempt.job]
        assert len(jobs) == len({*jobs})

    def attempts(self) -> Iterator[Attempt]:
        """Those that were about to be sent, if they were not sent."""
        run = bk.open_run(self.run_folder)
        return (attempt for attempt in run.attempts() if attempt.last("intent"))

    def asked(self, attempts: Iterable[Attempt]) -> Counter[int]:
        """How often each row is asked by these."""
        run = bk.open_run(self.run_folder)
        files = [pq.read_table(run.rows_path(attempt.asked_name)) for attempt in attempts]
        asked = [file.column("request_of").to_pylist() for file in files]
        return Counter(number for numbers in asked for number in numbers if number is not None)

    def teardown(self) -> None:
        """Close what the example has opened; what failed need not come to its end."""
        if hasattr(self, "opened"):
            with self.opened:
                self.come_to_an_end()

    def come_to_an_end(self) -> None:
        """Once nothing goes wrong any more, every row gets its last status."""
        self.ground.emulator.heal()
        for _ in range(10 * MOST_ATTEMPTS):
            bk.submit(self.run_folder, client=self.client, **TIMES)
            self.ground.emulator.clock.advance(JOB_SECONDS)
            with self.driver() as run:
                bk.wait(run, client=self.client, timeout=0, **TIMES)
            terms = {"max_attempts": MOST_ATTEMPTS, "bisect": True}
            if not bk.retry(self.run_folder, client=self.client, **terms).rows:
                break
        results = bk.collect(self.run_folder, client=self.client)
        self.check_table(results.to_pandas())
        assert results.tally()["pending"] == 0
        self.no_row_is_paid_more_often_than_it_was_asked()


Verbs.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestVerbsInAnyOrder = Verbs.TestCase
