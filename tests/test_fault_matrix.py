"""Every fault of the emulator by every way that requests travel: what the user sees.

Each cell is a test. Whatever goes wrong, every row has one status, no row is paid for twice, no
line that came back is lost, and collecting again gives the same table.
"""

from __future__ import annotations

import gc
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import batchkit as bk
from batchkit.emulator import CallFault, Emulator, JobFault, Limits, RowFault, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

pytestmark = [
    # Of Google's library for BigQuery, which calls another of Google's libraries.
    pytest.mark.filterwarnings("ignore:Retrieving Arrow:PendingDeprecationWarning"),
    # Google's library for Cloud Storage leaves the reply that refuses a download to the collector.
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
]

TARGETS = ("inline", "file", "gs", "bq")
ROWS = 10
KEYS = [f"r{i}" for i in range(ROWS)]
FRAME = pd.DataFrame({"id": KEYS, "text": [f"word {i}" for i in range(ROWS)]})
MODEL = "gemini-3.8-flash"
SPEC = bk.generate(MODEL, "Say {text}")
MOOD = {"type": "OBJECT", "properties": {"mood": {"type": "STRING"}}, "required": ["mood"]}
HOUR = 3600
QUICK = bk.Retries(first_seconds=0.01, longest_seconds=0.05, total_seconds=0.5)
ALL_OK = {"ok": ROWS}


@dataclass(frozen=True)
class Place:
    """One way to a service that goes wrong, and a folder for a run."""

    emulator: Emulator
    client: Any
    target: str
    folder: Path

    @property
    def way(self) -> str:
        """`inline`, `file`, `gs` or `bq`."""
        return self.target.partition(":")[0]

    @property
    def is_vertex(self) -> bool:
        return self.way in {"gs", "bq"}

    def build(self, spec: Any = SPEC, **limits: int) -> bk.Run:
        into, target = self.folder / "run", self.target
        return bk.build(FRAME, spec, key="id", into=into, target=target, limits=limits)

    def submit(self, run: bk.Run, settle_seconds: float = 0.1) -> Any:
        return bk.submit(run, client=self.client, settle_seconds=settle_seconds)

    def wait(self, run: bk.Run, timeout: float = 20) -> None:
        bk.wait(run, client=self.client, poll_seconds=0.02, timeout=timeout)

    def collected(self, run: bk.Run, attempts: int = 1) -> Outcome:
        """What the user has in the end, once it is sure that nothing is lost."""
        table = bk.collect(run, client=self.client).to_pandas()
        outcome = Outcome(run, table, self.emulator.stats())
        outcome.check_balance(attempts)
        again = bk.collect(run, client=self.client).to_pandas()
        pd.testing.assert_frame_equal(again, table)
        assert Outcome(run, again, self.emulator.stats()).audit == outcome.audit
        return outcome

    def journey(self, *faults: Any, spec: Any = SPEC) -> Outcome:
        """The whole way, while this goes wrong."""
        self.emulator.inject(*faults)
        run = self.build(spec)
        assert self.submit(run).is_complete
        self.wait(run)
        return self.collected(run)


@dataclass
class Outcome:
    """A run's table, its directory, and what the emulator has counted."""

    run: bk.Run
    table: pd.DataFrame
    stats: dict[str, Any]
    audit: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.audit = json.loads((self.run.folder / "audit.json").read_bytes())

    @property
    def statuses(self) -> dict[str, int]:
        return dict(Counter(self.table["status"]))

    @property
    def others(self) -> pd.DataFrame:
        """The rows that are not ok."""
        return self.table[self.table["status"] != "ok"]

    def said(self, column: str) -> set[Any]:
        """What these rows say."""
        return {None if pd.isna(value) else value for value in self.others[column]}

    @property
    def quarantine(self) -> list[dict[str, Any]]:
        path = self.run.folder / "quarantine.jsonl"
        return [*map(json.loads, path.read_bytes().split(b"\n")[:-1])] if path.exists() else []

    @property
    def paid(self) -> int:
        """How many requests were processed."""
        return sum(self.stats["requests"].values())

    def check_balance(self, attempts: int) -> None:
        assert self.table["id"].tolist() == KEYS
        assert self.run.tally() == self.audit["statuses"]
        assert {s: n for s, n in self.run.tally().items() if n} == self.statuses
        answered = self.table[self.table["status"] == "ok"]
        if answered["response"].notna().all() and "mood" not in self.table:
            assert answered["response"].tolist() == [f"Echo: Say {t}" for t in answered["text"]]
        self._check_paid(attempts)
        self._check_lines()
        assert [*self.run.folder.rglob("*.tmp")] == []

    def _check_paid(self, attempts: int) -> None:
        """No row twice in an attempt; `ok` only what was."""
        paid = self.stats["requests"]
        assert set(paid.values()) <= {*range(1, attempts + 1)}
        assert self.statuses.get("ok", 0) <= len(paid) <= ROWS

    def _check_lines(self) -> None:
        """Each line that came back is a row's, repeats one, or lies in quarantine."""
        files = {
            f"responses/{path.name}": path.read_bytes().split(b"\n")
            for path in (self.run.folder / "responses").glob("*.jsonl")
        }
        lines = Counter(self.audit["lines"])
        assert lines.total() == sum(len([*filter(None, each)]) for each in files.values())
        aside = {(each["file"], each["line"]) for each in self.quarantine}
        rows_in_conflict = sum(self.table["error_code"] == "CONFLICT")
        assert len(aside) == len(self.quarantine)
        assert (
            len(aside)
            == rows_in_conflict + lines["unknown"] + lines["unkeyed"] + (lines["conflict"])
        )
        for each in self.quarantine:
            text = files[each["file"]][each["line"] - 1].decode(errors="replace")
            assert each["text"] == text


@pytest.fixture(params=TARGETS)
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    yield from placed(request, tmp_path, monkeypatch)


def placed(
    request: pytest.FixtureRequest,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    **options: Any,
) -> Iterator[Place]:
    way = request.param
    with serve(buckets=["a-bucket"], **options) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        client: Any = (
            bk.Vertex(retries=QUICK)
            if way in {"gs", "bq"}
            else bk.Gemini(emulator.api_key, base_url=emulator.url, retries=QUICK)
        )
        target = {"gs": "gs://a-bucket/runs"}.get(way, way)
        if way == "bq":
            warehouse = request.getfixturevalue("bigquery")
            for name, value in warehouse.server.environment.items():
                monkeypatch.setenv(name, value)
            emulator.use_bigquery(warehouse.server)
            target = f"bq://{warehouse.new_dataset('us-central1')}"
        yield Place(emulator, client, target, folder)


@dataclass(frozen=True)
class Saw:
    """What the three rows that a fault befalls become, and how their lines are placed."""

    status: str
    lines: Mapping[str, int]
    code: str | None = None
    message: str = ""
    aside: str = ""


_NO_LINE = "ended as succeeded, without a line for this key"
MISSING = Saw("missing", {"joined": 7}, message=_NO_LINE)
JOINED = {"joined": ROWS}
UNKEYED = {"joined": 7, "unkeyed": 3}
CUT = Saw("missing", UNKEYED, message=_NO_LINE, aside="not JSON: ")
HALF = Saw("malformed", JOINED, message="the response is not an object")
NAMELESS = Saw("missing", UNKEYED, message=_NO_LINE, aside="the line carries no key")
STRANGE = {"joined": 7, "unknown": 3}
EVERYWHERE: dict[str, Saw] = {
    "drop": MISSING,
    "repeat": Saw("ok", {"joined": ROWS, "repeated": 3}),
    "contradict": Saw(
        "error",
        {"joined": ROWS, "conflict": 3},
        "CONFLICT",
        "the service gave differing answers to one key",
        "two answers differ",
    ),
    "stray": Saw("missing", STRANGE, message=_NO_LINE, aside="no row "),
    "error": Saw("error", JOINED, "INTERNAL", "Internal error encountered."),
    "empty": Saw("empty", JOINED, message="the response has no candidate"),
    "block": Saw("blocked", JOINED, "PROHIBITED_CONTENT", "the prompt was blocked"),
    "truncate": Saw("truncated", JOINED),
    "garble": Saw("malformed", JOINED, message="JSON"),
}
# A line that was broken carries no key; where it is part of a whole, its response is broken. Vertex
# AI echoes what was asked, and that names a row, too.
SOMEWHERE: dict[str, Mapping[str, Saw]] = {
    "break": {"inline": HALF, "file": CUT, "gs": CUT, "bq": HALF},
    "unkey": {
        "inline": NAMELESS,
        "file": NAMELESS,
        "gs": Saw("ok", JOINED),
        "bq": Saw("ok", JOINED),
    },
}


@pytest.mark.parametrize("kind", [*EVERYWHERE, *SOMEWHERE])
def test_rows(place: Place, kind: Any) -> None:
    spec = bk.generate(MODEL, "Judge {text}", schema=MOOD) if kind == "garble" else SPEC
    outcome = place.journey(RowFault(kind, share=0.3), spec=spec)
    saw = EVERYWHERE.get(kind) or SOMEWHERE[kind][place.way]
    assert outcome.stats["faults"] == {kind: 3}
    assert len(outcome.stats["requests"]) == ROWS
    assert outcome.audit["lines"] == saw.lines
    expected = ALL_OK if saw.status == "ok" else {"ok": 7, saw.status: 3}
    assert outcome.statuses == expected
    assert outcome.said("error_code") == (set() if saw.status == "ok" else {saw.code})
    assert all(saw.message in (text or "") for text in outcome.said("error_message"))
    assert bool(outcome.quarantine) == bool(saw.aside)
    assert all(each["reason"].startswith(saw.aside) for each in outcome.quarantine)


def test_rows_of_every_kind_at_once(place: Place) -> None:
    kinds: tuple[Any, ...] = ("drop", "error", "empty", "block", "truncate", "contradict", "repeat")
    outcome = place.journey(*(RowFault(kind, share=0.1) for kind in kinds))
    assert outcome.statuses == {
        "ok": 4,
        "missing": 1,
        "error": 2,
        "empty": 1,
        "blocked": 1,
        "truncated": 1,
    }


@pytest.mark.parametrize("code, reason", [(8, "RESOURCE_EXHAUSTED"), (9, "FAILED_PRECONDITION")])
def test_row_errors_keep_the_reason_that_the_service_gave(
    place: Place, code: int, reason: str
) -> None:
    outcome = place.journey(RowFault("error", share=0.5, code=code, message="as it says"))
    assert outcome.statuses == {"ok": 5, "error": 5}
    assert outcome.said("error_code") == {reason}
    assert outcome.said("error_message") == {"as it says"}


def test_order(place: Place) -> None:
    """Rows come back in another order than they were asked in, always."""
    outcome = place.journey()
    assert outcome.statuses == ALL_OK
    lines = (outcome.run.folder / "responses" / "00000-1.jsonl").read_text().split("\n")[:-1]
    order = [next(i for i in range(ROWS) if f"word {i}" in line) for line in lines]
    assert sorted(order) == [*range(ROWS)] != order


ENDS = {
    "expire": ("DEADLINE_EXCEEDED", "ended as expired"),
    "fail": ("INTERNAL", "failed: An internal error has occurred"),
    "cancel": ("CANCELLED", "ended as cancelled"),
}


@pytest.mark.parametrize("answered", [0.0, 0.4])
@pytest.mark.parametrize("kind", [*ENDS])
def test_jobs_that_end_early(place: Place, kind: Any, answered: float) -> None:
    """Vertex AI gives what was answered; the Developer API gives nothing, and it is paid for."""
    outcome = place.journey(JobFault(kind, answered=answered))
    code, said = ENDS[kind]
    kept = round(ROWS * answered) if place.is_vertex else 0
    expected = {"ok": kept, "missing": ROWS - kept}
    assert outcome.statuses == {status: count for status, count in expected.items() if count}
    assert outcome.said("error_code") == {code}
    assert all(said in text for text in outcome.said("error_message"))
    assert len(outcome.stats["requests"]) == round(ROWS * answered)


def test_a_job_that_is_refused_as_a_whole(place: Place) -> None:
    fault = JobFault("fail", code=3, message="Failed to import data: line 3: no such field")
    outcome = place.journey(fault)
    assert outcome.statuses == {"error": ROWS}
    assert outcome.said("error_code") == {"INVALID_ARGUMENT"}
    (message,) = outcome.said("error_message")
    assert message.endswith("was refused as a whole: Failed to import data: line 3: no such field")
    assert outcome.stats["requests"] == {}


def test_a_job_that_is_stuck(place: Place) -> None:
    place.emulator.inject(JobFault("stick", times=1))
    run = place.build()
    place.submit(run)
    with pytest.raises(bk.errors.WaitTimeoutError, match="they go on, and were not cancelled"):
        place.wait(run, timeout=0.2)
    outcome = place.collected(run)
    assert (outcome.statuses, outcome.audit["is_complete"]) == ({"pending": ROWS}, False)
    place.emulator.clock.advance(73 * HOUR)
    place.wait(run)
    outcome = place.collected(run)
    assert outcome.statuses == {"missing": ROWS}
    assert outcome.said("error_code") == {"DEADLINE_EXCEEDED"}
    assert outcome.stats["requests"] == {}
    bk.retry(run, client=place.client)
    assert place.submit(run).is_complete
    place.wait(run)
    outcome = place.collected(run)
    assert (outcome.statuses, outcome.paid) == (ALL_OK, ROWS)


@pytest.mark.parametrize(
    "fault",
    [
        *(RowFault(kind, share=0.3, times=1) for kind in ("drop", "break", "error", "empty")),
        *(JobFault(kind, answered=0.4, times=1) for kind in ("expire", "fail")),
    ],
    ids=lambda fault: fault.kind,
)
def test_rows_that_got_no_answer_are_asked_again(place: Place, fault: Any) -> None:
    """Those and no others, whatever was paid for them before."""
    first = place.journey(fault)
    bk.retry(first.run, client=place.client)
    assert place.submit(first.run).is_complete
    place.wait(first.run)
    second = place.collected(first.run, attempts=2)
    assert second.statuses == ALL_OK
    assert len(first.others) > 0
    assert second.paid == first.paid + len(first.others)


# What befalls one call of a kind, and where that call is made.
EVERY_CALL = [(kind, on) for on in ("create", "get", "list") for kind in ("refuse", "cut")]
CALLS: Mapping[str, list[tuple[Any, Any]]] = {
    "inline": [*EVERY_CALL, ("lose", "create"), ("interrupt", "create")],
    "file": [
        *EVERY_CALL,
        *((kind, "create") for kind in ("lose", "interrupt")),
        *((kind, "upload") for kind in ("refuse", "lose", "cut", "interrupt")),
        *((kind, "download") for kind in ("refuse", "cut", "interrupt")),
    ],
}
CALLS = {**CALLS, "gs": CALLS["file"], "bq": CALLS["inline"]}


@pytest.mark.parametrize(
    "place, kind, on",
    [(way, kind, on) for way in TARGETS for kind, on in CALLS[way]],
    indirect=["place"],
)
def test_calls(place: Place, kind: Any, on: Any) -> None:
    """A call that fails is made again, or found to have been made: all is well in the end."""
    outcome = place.journey(CallFault(kind, on=on))
    assert outcome.statuses == ALL_OK
    assert len(outcome.stats["requests"]) == ROWS
    assert outcome.stats["faults"] == {kind: 1}
    assert sum(outcome.stats["jobs"].values()) == 1
    things = {"file": outcome.stats["files"], "gs": outcome.stats["objects"]}
    assert things.get(place.way, 2) == 2  # requests and responses: no orphaned upload
    if (place.way, on) == ("gs", "download"):
        gc.collect()  # here, where its warning is known


@pytest.mark.parametrize("place", ["file", "gs"], indirect=True)
@pytest.mark.parametrize("skip", [0, 1])
def test_an_upload_whose_start_or_end_is_lost(place: Place, skip: int) -> None:
    outcome = place.journey(CallFault("lose", on="upload", skip=skip))
    assert outcome.statuses == ALL_OK
    assert outcome.stats["files"] + outcome.stats["objects"] == 2


def test_lists_that_lag_behind_a_create_that_was_not_answered(place: Place) -> None:
    place.emulator.inject(CallFault("lose", on="create"), JobFault("hide", seconds=0.3))
    run = place.build()
    assert place.submit(run, settle_seconds=1).is_complete
    place.wait(run)
    outcome = place.collected(run)
    assert outcome.stats["faults"] == {"lose": 1, "hide": 1}
    assert outcome.statuses == ALL_OK
    assert sum(outcome.stats["jobs"].values()) == 1


REFUSALS: dict[int, Callable[[], Any]] = {
    400: lambda: pytest.raises(bk.errors.InvalidRequestError, match="INVALID_ARGUMENT"),
    403: lambda: pytest.raises(bk.errors.NotAuthorisedError, match="PERMISSION_DENIED"),
    404: lambda: pytest.raises(bk.errors.NotFoundError, match="NOT_FOUND"),
    503: lambda: pytest.raises(bk.errors.ServiceFailureError, match="UNAVAILABLE"),
}


@pytest.mark.parametrize("code", [*REFUSALS])
def test_creates_that_are_refused_until_something_is_mended(place: Place, code: int) -> None:
    place.emulator.inject(CallFault("refuse", on="create", code=code, times=None))
    run = place.build()
    with REFUSALS[code]():
        place.submit(run)
    assert place.collected(run).statuses == {"pending": ROWS}
    place.emulator.heal()
    assert place.submit(run).is_complete
    place.wait(run)
    outcome = place.collected(run)
    assert outcome.statuses == ALL_OK
    assert sum(outcome.stats["jobs"].values()) == 1


def test_creates_beyond_a_quota_are_held_back(place: Place) -> None:
    place.emulator.inject(CallFault("refuse", on="create", code=429, skip=1, times=2))
    run = place.build(max_rows=5)
    for _ in range(2):
        submission = place.submit(run)
        assert (submission.sent, submission.total) == (1, 2)
        assert "Resource has been exhausted" in str(submission.held)
    assert place.collected(run).statuses == {"ok": 5, "pending": 5}
    assert place.submit(run).is_complete
    place.wait(run)
    assert place.collected(run).statuses == ALL_OK


@pytest.fixture
def narrow(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """A service that takes the tokens of half of the rows, and whose jobs take an hour."""
    limits = Limits(enqueued_tokens=25)
    yield from placed(request, tmp_path, monkeypatch, limits=limits, job_seconds=HOUR)


@pytest.mark.parametrize("narrow", ["inline", "file"], indirect=True)
def test_enqueued_tokens_beyond_the_limit_are_held_back(narrow: Place) -> None:
    run = narrow.build(max_rows=5)
    submission = narrow.submit(run)
    assert (submission.sent, submission.total) == (1, 2)
    assert "enqueued batch tokens" in str(submission.held)
    narrow.emulator.clock.advance(HOUR)
    assert narrow.submit(run).is_complete
    narrow.emulator.clock.advance(HOUR)
    narrow.wait(run)
    outcome = narrow.collected(run)
    assert outcome.statuses == ALL_OK
    assert outcome.stats["jobs"] == {"BATCH_STATE_SUCCEEDED": 2}


@pytest.mark.parametrize("on", ["get", "list"])
def test_a_service_that_is_down_for_a_while(place: Place, on: Any) -> None:
    place.emulator.inject(CallFault("refuse", on=on, times=None))
    run = place.build()
    if on == "list":
        with pytest.raises(bk.errors.ServiceFailureError, match="503 UNAVAILABLE"):
            place.submit(run)
        assert place.emulator.stats()["jobs"] == {}
    else:
        place.submit(run)
        with pytest.raises(bk.errors.WaitTimeoutError):
            place.wait(run, timeout=0.2)
    assert place.collected(run).statuses == {"pending": ROWS}
    place.emulator.heal()
    place.submit(run)
    place.wait(run)
    assert place.collected(run).statuses == ALL_OK


@pytest.mark.parametrize("place", ["file", "gs"], indirect=True)
def test_vectors_of_the_wrong_size(place: Place) -> None:
    spec = bk.embed("gemini-embedding-001", "{text}", dimensions=8)
    place.emulator.inject(RowFault("garble", share=0.3))
    run = place.build(spec)
    place.submit(run)
    place.wait(run)
    results = bk.collect(run, client=place.client)
    table = results.to_pandas()
    assert Counter(table["status"]) == {"ok": 7, "malformed": 3}
    assert set(table["error_message"].dropna()) == {"the vector has 4 values, 8 were asked for"}
