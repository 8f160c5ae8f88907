"""A table on its way through a run whose drivers are killed again and again, and its balance.

Used by the suite in a short form, and by `just kill-test` in a long one.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import re
import signal
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq
from google.oauth2.service_account import Credentials

import batchkit as bk
from batchkit.emulator import (
    AnswerError,
    CallFault,
    Emulator,
    JobFault,
    RowFault,
    echo,
    serve,
)
from tests.driver import AGAIN, AMBIGUOUS, FORKS, SETTLE_SECONDS, endure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.process import BaseProcess

    from batchkit.emulator.faults import Fault
    from tests.driver import Death
    from tests.warehouse import Warehouse

__all__ = ["AMBIGUOUS", "KILLED", "Arena", "Model", "Ordeal", "Trap", "arena", "seeded_faults"]

BUCKET = "an-arena"
KILLED = -signal.SIGKILL
_MOST_DRIVERS = 60
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_SECONDS = 60
# What becomes of a row, which its text ends with; its status in the end, and how often it is asked
# when it may be twice. A row without a fate has no key.
FATES = {
    "fine": ("ok", 1),
    "flaky": ("ok", 2),
    "empty": ("ok", 2),
    "hopeless": ("error", 2),
    "unfit": ("error", 1),
    "long": ("truncated", 1),
    "blocked": ("blocked", 1),
}
ROWS = ("fine", "flaky", "", "hopeless", "fine", "unfit", "long", "empty", "blocked", "fine")
SHARDS = 3


@dataclass
class Model:
    """Answers each row as its fate is; an emulator's, for all runs."""

    asked: Counter[str] = field(default_factory=Counter[str])

    def __call__(self, kind: Any, model: str, request: dict[str, Any]) -> dict[str, Any]:
        text = request["contents"][0]["parts"][0]["text"]
        fate = text.rpartition(" ")[2]
        self.asked[text] += 1
        is_first = self.asked[text] == 1
        answer = echo(kind, model, request)
        if fate == "hopeless" or (fate == "flaky" and is_first):
            raise AnswerError(14, "try again")
        if fate == "unfit":
            raise AnswerError(3, "no such thing")
        if fate == "empty" and is_first:
            answer["candidates"] = []
        if fate == "long":
            answer["candidates"][0]["finishReason"] = "MAX_TOKENS"
        if fate == "blocked":
            answer |= {"candidates": [], "promptFeedback": {"blockReason": "SAFETY"}}
        return answer


class Trap:
    """What befalls a driver as an emulator does what it asked for: before the reply is sent.

    It is killed at one such effect, or the replies to a share of them are lost.
    """

    def __init__(self) -> None:
        self._at: tuple[str, int] | None = None
        self._victim: BaseProcess | None = None
        self._is_armed = threading.Event()
        self.heard: Counter[str] = Counter()
        self.lost = 0
        self._share = 0.0
        self._draw = random.Random()  # noqa: S311  # to be repeated, not to be kept secret

    def set(self, kind: str, nth: int) -> None:
        """Kill who causes the nth effect of a kind, once it is known."""
        self._at = kind, nth
        self._is_armed.clear()
        self.heard.clear()

    def arm(self, victim: BaseProcess) -> None:
        """Say who is to be killed."""
        self._victim = victim
        self._is_armed.set()

    def lose(self, share: float, seed: int = 0) -> None:
        """Lose so many of the replies."""
        self._share, self._draw = share, random.Random(seed)  # noqa: S311  # as above

    def __call__(self, kind: str, _: str) -> None:
        """What `serve(on_effect=)` calls."""
        self.heard[kind] += 1
        if self._at == (kind, self.heard[kind]):
            self._at = None
            self._is_armed.wait(_SECONDS)
            assert self._victim is not None
            os.kill(self._victim.pid or 0, signal.SIGKILL)
        if self._draw.random() < self._share:
            self.lost += 1
            raise ConnectionError


@dataclass
class Arena:
    """The services that runs speak to, many runs after one another, and what was done to them."""

    emulator: Emulator
    trap: Trap
    folder: Path
    warehouse: Warehouse | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _seconds: dict[str, float] = field(default_factory=dict[str, float])

    def ordeal(self, way: str, faults: Sequence[Fault] = ()) -> Ordeal:
        """Another table, to be sent by this way: `inline`, `file`, `gs` or `bq`.

        While some things go wrong, from now on until the next.
        """
        name = f"{way}{next(self._numbers)}"
        folder = self.folder / name
        folder.mkdir()
        ids = [f"{name}-{i}" if fate else None for i, fate in enumerate(ROWS)]
        texts = [f"{name}-{i} {fate}" for i, fate in enumerate(ROWS)]
        pd.DataFrame({"id": ids, "text": texts}).to_parquet(folder / "table.parquet")
        return Ordeal(self, way, folder, faults, max_attempts=3 if faults else 2)

    def use(self, warehouse: Warehouse) -> None:
        """Have tables there, in a new dataset."""
        warehouse.dataset = warehouse.new_dataset(self.emulator.location)
        self.emulator.use_bigquery(warehouse.server)
        self.warehouse = warehouse

    def seconds(self, way: str) -> float:
        """How long a driver takes that nothing happens to, and which others have gone before."""
        if way not in self._seconds:
            for _ in range(2):
                ordeal = self.ordeal(way)
                started = time.monotonic()
                assert ordeal.drive() == 0
                self._seconds[way] = time.monotonic() - started
                ordeal.check()
        return self._seconds[way]

    @property
    def environment(self) -> dict[str, str]:
        """What points a driver at the services."""
        there = self.warehouse.server.environment if self.warehouse else {}
        return {**self.emulator.environment, **there}

    def target(self, way: str) -> str:
        """The address of a way."""
        if way == "bq":
            assert self.warehouse is not None
            return f"bq://{self.warehouse.dataset}"
        return f"gs://{BUCKET}/runs" if way == "gs" else way

    def client(self, way: str) -> Any:
        """A client of the service that a way leads to."""
        url = self.emulator.url
        if way in {"inline", "file"}:
            return bk.Gemini(self.emulator.api_key, base_url=url)
        file = str(self.emulator.credentials_file)
        account = Credentials.from_service_account_file(file, scopes=[_SCOPE])
        project = self.environment["GOOGLE_CLOUD_PROJECT"]
        return bk.Vertex(project, self.emulator.location, credentials=account, base_url=url)


@contextlib.contextmanager
def arena(**options: Any) -> Iterator[Arena]:
    """Services, and a folder for runs in memory where there is one: nothing survives a kill less.

    What a killed process has written is there, on a disk or not; syncing takes most of the time.
    """
    memory = Path("/dev/shm")  # noqa: S108  # a folder of our own in it
    trap = Trap()
    with (
        tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name,
        serve(
            answerer=Model(),
            buckets=[BUCKET],
            folder=Path(name) / "emulator",
            on_effect=trap,
            **options,
        ) as emulator,
    ):
        yield Arena(emulator, trap, Path(name))


@dataclass
class Ordeal:
    """One table on its way, and how its drivers have ended."""

    arena: Arena
    way: str
    folder: Path
    faults: Sequence[Fault] = ()
    max_attempts: int = 2
    ends: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        self.arena.emulator.heal()
        self.arena.emulator.inject(*self.faults)
        self._files_before = self.arena.emulator.stats()["files"]

    def start(self, death: Death = None) -> BaseProcess:
        """Another driver, which may be to kill itself."""
        surroundings = {**self.arena.environment, "TMPDIR": str(self.folder)}
        arguments = (
            str(self.folder),
            self.arena.target(self.way),
            surroundings,
            self.max_attempts,
            death,
        )
        process = FORKS.Process(target=endure, args=arguments)
        process.start()
        return process

    def drive(self, death: Death = None) -> int:
        """Start a driver, and say how it ended."""
        return self.ended(self.start(death))

    def drive_for(self, seconds: float) -> int:
        """Start a driver, and kill it so many seconds later; how it ended."""
        process = self.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
        return self.ended(process)

    def drive_to(self, effect: str, nth: int) -> int:
        """Start a driver, and kill it before the reply to the nth effect of a kind."""
        self.arena.trap.set(effect, nth)
        process = self.start()
        self.arena.trap.arm(process)
        return self.ended(process)

    def ended(self, process: BaseProcess) -> int:
        """How it ended."""
        process.join(_SECONDS)
        assert process.exitcode is not None, "a driver hangs"
        self.ends.append(process.exitcode)
        process.close()
        return self.ends[-1]

    def finish(self) -> int:
        """Drive until it is done; 0, or AMBIGUOUS when the user has to look."""
        for _ in range(_MOST_DRIVERS):
            end = self.drive()
            if end in {0, AMBIGUOUS}:
                return end
            assert end == AGAIN, f"a driver ended with {end}"
        message = "the run does not end"
        raise AssertionError(message)

    def check(self) -> None:
        """Hold what it has come to against what it must be, here and at the service."""
        table = pq.read_table(self.folder / "run" / "out.parquet")
        source = pq.read_table(self.folder / "table.parquet")
        assert table.select(["id", "text"]).equals(source)
        statuses = [FATES[fate][0] if fate else "rejected" for fate in ROWS]
        assert table["status"].to_pylist() == statuses
        audit = json.loads((self.run.folder / "audit.json").read_bytes())
        assert audit["statuses"] == self.run.tally()
        assert {s: n for s, n in self.run.tally().items() if n} == Counter(statuses)
        self._check_paid()
        self._check_service()
        self._check_files()

    @property
    def run(self) -> bk.Run:
        """The run, as it is now."""
        return bk.open_run(self.folder / "run")

    def asked(self) -> Counter[int]:
        """How often each row was asked, by what the run directory says of its jobs."""
        run = self.run
        paths = [run.rows_path(a.asked_name) for a in run.attempts() if a.job]
        tables = [pq.read_table(path, columns=["row", "request_of"]) for path in paths]
        return Counter(
            number
            for table in tables
            for number in table["request_of"].to_pylist()
            if number is not None
        )

    def paid(self) -> Counter[int]:
        """How often each row was processed, as counted inside the emulator."""
        requests = self.arena.emulator.stats()["requests"]
        paid: Counter[int] = Counter()
        for path in sorted((self.folder / "run" / "requests").glob("?????.jsonl")):
            for line in path.read_bytes().split(b"\n")[:-1]:
                item = json.loads(line)
                words = item["request"]["contents"][0]["parts"][0]["text"].split()
                labels = item["request"].get("labels", {})  # what names a row on gs://
                name = labels["batchkit"] if self.way == "gs" else item["key"]
                paid[int(words[1].rpartition("-")[2])] = requests.get(name, 0)
        return +paid

    def _check_paid(self) -> None:
        """Once for each attempt, and as often as the row's fate wants when no other befell it."""
        paid, asked = self.paid(), self.asked()
        assert max(asked.values()) <= self.max_attempts
        if not self.faults:
            assert asked == {i: FATES[fate][1] for i, fate in enumerate(ROWS) if fate}
        if any(isinstance(fault, JobFault) and fault.kind in _ENDS for fault in self.faults):
            assert paid <= asked  # what a job that ends early has not answered is free
        else:
            assert paid == asked

    def _check_service(self) -> None:
        """One job for each attempt, and nothing that no job is known to need."""
        run = self.run
        attempts = run.attempts()
        jobs = list(self.arena.client(self.way).batches.find(f"batchkit-{run.definition.id}-"))
        assert sorted(job.name for job in jobs) == sorted(a.job or "" for a in attempts)
        with_output = [a.name for a in attempts if self._has_output(a)]
        made = self.arena.emulator.stats()["files"] - self._files_before
        assert made == (len(attempts) + len(with_output) if self.way == "file" else 0)
        names = [a.name for a in attempts]
        if self.way == "gs":
            self._check_objects(f"gs://{BUCKET}/runs/{run.definition.id}", names, with_output)
        if self.way == "bq":
            self._check_tables(run.definition.id, names, with_output)

    def _has_output(self, attempt: Any) -> bool:
        return attempt.last("fetched").content["file"] is not None

    def _check_objects(self, folder: str, asked: list[str], answered: list[str]) -> None:
        found = self.arena.emulator.storage.list(f"{folder}/")
        requests = [f"{folder}/requests/{name}.jsonl" for name in asked]
        responses = [uri for uri in found if uri.startswith(f"{folder}/responses/")]
        assert sorted(found) == sorted(requests + responses)
        assert sorted(uri.split("/")[6] for uri in responses) == sorted(answered)

    def _check_tables(self, run_id: str, asked: list[str], answered: list[str]) -> None:
        assert self.arena.warehouse is not None
        listed: Any = self.arena.warehouse.client.list_tables(self.arena.warehouse.dataset)
        start = re.sub(r"\W", "_", f"batchkit_{run_id}_")
        found = [each.table_id for each in listed if each.table_id.startswith(start)]
        made = [f"{start}{name}_requests" for name in asked]
        made += [f"{start}{name}_responses" for name in answered]
        assert sorted(found) == sorted(name.replace("-", "_") for name in made)

    def _check_files(self) -> None:
        """Nothing but what the run directory is documented to have."""
        run, attempts = self.run, self.run.attempts()
        asked = {shard.name for shard in run.shards.shards} | {a.asked_name for a in attempts}
        names = {"run.json", "shards.json", "lease.json", ".lease", "audit.json", "out.parquet"}
        names |= {"rejected.jsonl", "outcomes/00000-0.parquet"}
        names |= {f"rows/{name}.parquet" for name in asked}
        names |= {f"requests/{name}.jsonl" for name in asked}
        names |= {f"ledger/{a.name}/{fact.name}" for a in attempts for fact in a.facts}
        names |= {f"responses/{a.name}.jsonl" for a in attempts if self._has_output(a)}
        names |= {f"outcomes/{a.name}.{end}" for a in attempts for end in ("json", "parquet")}
        found = {str(p.relative_to(run.folder)) for p in run.folder.rglob("*") if p.is_file()}
        if any(isinstance(fault, RowFault) for fault in self.faults):
            found = {name for name in found if not name.endswith("quarantine.jsonl")}
        assert found == names
        assert {path.name for path in self.folder.iterdir()} == {"table.parquet", "run"}


def seeded_faults(draw: random.Random, way: str) -> list[Fault]:
    """A few things that go wrong, of which none is for ever and none is said to be the row's."""
    skip = draw.randrange(8)
    calls: list[Fault] = [
        CallFault("refuse", times=3, skip=skip),
        CallFault("refuse", code=500, times=2, skip=3 * skip),
        CallFault("lose", on="create", skip=skip % 4),
        CallFault("cut", on="create", skip=skip % 4),
        CallFault("cut", on="get", skip=skip),
        CallFault("cut", on="list", skip=skip % 3),
        CallFault("interrupt", on="create", skip=skip % 4),
        JobFault("hide", seconds=SETTLE_SECONDS / 3, times=3),
    ]
    if way in {"file", "gs"}:
        calls += [
            CallFault("interrupt", on="upload", skip=skip % 4),
            CallFault("lose", on="upload", skip=skip % 4),
            CallFault("cut", on="download", skip=skip % 4),
        ]
    # In the first jobs only, so that there are attempts left for what becomes of the row.
    jobs: list[Fault] = [
        *(RowFault(kind, share=0.5, where=" fine", times=SHARDS) for kind in _ROW_KINDS),
        *(JobFault(kind, answered=draw.choice([0, 0.5]), times=1) for kind in _ENDS),
    ]
    return [*draw.sample(calls, 3), *draw.sample(jobs, draw.randrange(3))]


_ENDS = ("expire", "fail", "cancel")
_ROW_KINDS = ("drop", "repeat", "contradict", "unkey", "stray", "break", "error", "empty")
