"""A table on its way through a run whose drivers are killed again and again, and its balance.

Used by the suite in a short form, and by `just kill-test` in a long one.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import random
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
from google.auth import load_credentials_from_file

import batchkit as bk
from batchkit.emulator import AnswerError, Emulator, echo, serve
from tests.driver import AGAIN, AMBIGUOUS, FORKS, endure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess

    from tests.driver import Death
    from tests.warehouse import Warehouse

__all__ = ["AMBIGUOUS", "KILLED", "Arena", "Model", "Ordeal", "Trap", "arena"]

BUCKET = "an-arena"
KILLED = -signal.SIGKILL
_MOST_DRIVERS = 60
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_SECONDS = 60
# Each row's text ends with what becomes of it; with its status after two attempts, and how often
# it is asked. The third row of all has no key.
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
JOBS = 5  # with those of rows that are asked again


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
        self._draw = random.Random()

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
        self._share, self._draw = share, random.Random(seed)

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

    def ordeal(self, way: str) -> Ordeal:
        """Another table, to be sent by this way: `inline`, `file`, `gs` or `bq`."""
        name = f"{way}{next(self._numbers)}"
        folder = self.folder / name
        folder.mkdir()
        ids = [f"{name}-{i}" if fate else None for i, fate in enumerate(ROWS)]
        texts = [f"{name}-{i} {fate}" for i, fate in enumerate(ROWS)]
        pd.DataFrame({"id": ids, "text": texts}).to_parquet(folder / "table.parquet")
        return Ordeal(self, way, folder)

    def seconds(self, way: str) -> float:
        """How long a driver takes that nothing happens to; the first such is checked."""
        if way not in self._seconds:
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
        account, _ = load_credentials_from_file(file, scopes=[_SCOPE])
        project = self.environment["GOOGLE_CLOUD_PROJECT"]
        return bk.Vertex(project, self.emulator.location, credentials=account, base_url=url)


@contextlib.contextmanager
def arena(warehouse: Warehouse | None = None, **options: Any) -> Iterator[Arena]:
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
        if warehouse is not None:
            emulator.use_bigquery(warehouse.server)
        yield Arena(emulator, trap, Path(name), warehouse)


@dataclass
class Ordeal:
    """One table on its way, and how its drivers have ended."""

    arena: Arena
    way: str
    folder: Path
    ends: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        self._files_before = self.arena.emulator.stats()["files"]

    def start(self, death: Death = None) -> BaseProcess:
        """Another driver, which may be to kill itself."""
        surroundings = {**self.arena.environment, "TMPDIR": str(self.folder)}
        arguments = (str(self.folder), self.arena.target(self.way), surroundings, death)
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
        self._check_rows()
        self._check_paid()
        self._check_service()
        self._check_files()

    @property
    def run(self) -> bk.Run:
        """The run, as it is now."""
        return bk.open_run(self.folder / "run")

    def _check_rows(self) -> None:
        table = pq.read_table(self.folder / "run" / "out.parquet")
        source = pq.read_table(self.folder / "table.parquet")
        assert table.select(["id", "text"]).equals(source)
        statuses = [FATES[fate][0] if fate else "rejected" for fate in ROWS]
        assert table["status"].to_pylist() == statuses
        tally = {status: count for status, count in self.run.tally().items() if count}
        assert tally == Counter(statuses)
        audit = json.loads((self.folder / "run" / "audit.json").read_bytes())
        assert audit["statuses"] == self.run.tally()
        assert audit["is_complete"]

    def _check_paid(self) -> None:
        """As counted inside the emulator: once for each attempt, which is as often as is right."""
        paid = self.arena.emulator.stats()["requests"]
        names = self.wire_names()
        times = [paid.get(names.get(number, ""), 0) for number in range(len(ROWS))]
        assert times == [FATES[fate][1] if fate else 0 for fate in ROWS]

    def wire_names(self) -> dict[int, str]:
        """What the emulator counts each row under: its key, or its label where there is none."""
        names: dict[int, str] = {}
        for path in sorted((self.folder / "run" / "requests").glob("?????.jsonl")):
            for line in path.read_bytes().split(b"\n")[:-1]:
                item = json.loads(line)
                number = int(
                    item["request"]["contents"][0]["parts"][0]["text"].split()[1].split("-")[1]
                )
                label = item["request"].get("labels", {}).get("batchkit")
                names[number] = label if self.way == "gs" else item["key"]
        return names

    def _check_service(self) -> None:
        """One job for each attempt, and nothing that no job is known to need."""
        run = self.run
        attempts = run.attempts()
        assert len(attempts) == JOBS
        jobs = list(self.arena.client(self.way).batches.find(f"batchkit-{run.definition.id}-"))
        assert sorted(job.name for job in jobs) == sorted(a.job or "" for a in attempts)
        made = self.arena.emulator.stats()["files"] - self._files_before
        assert made == (2 * JOBS if self.way == "file" else 0)  # requests and responses
        if self.way == "gs":
            self._check_objects(f"gs://{BUCKET}/runs/{run.definition.id}", attempts)
        if self.way == "bq":
            self._check_tables(run.definition.id, attempts)

    def _check_objects(self, folder: str, attempts: list[Any]) -> None:
        found = self.arena.emulator.storage.list(f"{folder}/")
        asked = sorted(f"{folder}/requests/{a.name}.jsonl" for a in attempts)
        assert sorted(uri for uri in found if "/requests/" in uri) == asked
        answered = Counter(uri.removeprefix(f"{folder}/responses/").split("/")[0] for uri in found)
        assert {a.name: answered[a.name] for a in attempts} == {a.name: 1 for a in attempts}
        assert len(found) == 2 * JOBS

    def _check_tables(self, run_id: str, attempts: list[Any]) -> None:
        assert self.arena.warehouse is not None
        listed: Any = self.arena.warehouse.client.list_tables(self.arena.warehouse.dataset)
        start = f"batchkit_{run_id}_".replace("-", "_")
        found = [each.table_id for each in listed if each.table_id.startswith(start)]
        names = [f"{start}{a.name.replace('-', '_')}" for a in attempts]
        made = [f"{name}_{what}" for name in names for what in ("requests", "responses")]
        assert sorted(found) == sorted(made)

    def _check_files(self) -> None:
        """Nothing but what the run directory is documented to have."""
        run = self.run
        shards = [shard.name for shard in run.shards.shards]
        attempts = run.attempts()
        asked = [*shards, *(a.asked_name for a in attempts if a.number > 1)]
        names = {"run.json", "shards.json", "lease.json", ".lease", "audit.json", "out.parquet"}
        names |= {"rejected.jsonl"}
        names |= {f"rows/{name}.parquet" for name in asked}
        names |= {f"requests/{name}.jsonl" for name in asked}
        names |= {f"ledger/{a.name}/{fact.name}" for a in attempts for fact in a.facts}
        names |= {f"responses/{a.name}.jsonl" for a in attempts}
        names |= {f"outcomes/{a.name}.{ending}" for a in attempts for ending in ("json", "parquet")}
        names |= {"outcomes/00000-0.parquet"}
        found = {str(p.relative_to(run.folder)) for p in run.folder.rglob("*") if p.is_file()}
        assert found == names
        beside = {path.name for path in self.folder.iterdir()}
        assert beside == {"table.parquet", "run"}
