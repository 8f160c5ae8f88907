"""Facts about each attempt to get a shard answered, and the state that they add up to.

A fact is a small JSON file, created once and never changed; the state is read from the facts each
time. `intent` comes before anything that cannot be taken back: only the driver whose intent is
the latest may create a job.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from batchkit import durable, jsonl
from batchkit.damage import damaged, reading
from batchkit.errors import RunHeldError
from batchkit.shape import (
    Shape,
    check_shape,
    is_count,
    is_flag,
    is_number,
    is_text,
    listed,
    optional,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["NO_ROOM", "Attempt", "Fact", "FactKind", "Ledger", "Stage"]

FactKind: TypeAlias = Literal[
    "built",
    "held",
    "withdrawn",
    "intent",
    "uploaded",
    "created",
    "adopted",
    "refused",
    "closed",
    "recut",
    "overdue",
    "ended",
    "fetched",
]
Stage: TypeAlias = Literal["unsent", "sending", "running", "ended", "fetched"]
_STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "built": "unsent",
        "held": "unsent",
        "withdrawn": "unsent",
        "intent": "sending",
        "uploaded": "sending",
        "refused": "unsent",
        "closed": "fetched",
        "recut": "fetched",
        "created": "running",
        "adopted": "running",
        "overdue": "running",
        "ended": "ended",
        "fetched": "fetched",
    }
)
NO_ROOM = 429  # the status of a refusal that holds for now only
_STOPPED = frozenset({"cancelled", "deleted", "expired", "failed"})


# What facts say, by name, whatever their kind; what else stands there is only shown.
_CONTENT: dict[str, Shape] = {
    **{name: optional(is_text) for name in ("account", "display_name", "job", "lost", "message")},
    **{name: optional(is_text) for name in ("file", "half_of", "object", "output", "response")},
    **{
        name: optional(is_text)
        for name in ("raw_state", "reason", "sha256", "state", "table", "target")
    },
    **{name: optional(is_count) for name in ("bytes", "failed", "requests", "status", "succeeded")},
    **{name: optional(is_count) for name in ("first_row", "max_output_tokens")},
    "twins": optional(listed(is_text)),
    "why": optional(is_text),
    "error": optional({"reason": is_text, "message": is_text}),
    "expires": optional(is_number),
    "is_awaited": optional(is_flag),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened, when (UTC, seconds since 1970), and what is known about it."""

    number: int
    kind: FactKind
    at: float
    content: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        """Refuse a kind that this version does not know, and a job without a name.

        The state could not be told.
        """
        if self.kind not in _STAGES:
            message = f"unknown kind of fact {self.kind!r}"
            raise ValueError(message)
        if _STAGES[self.kind] == "running" and not self.content.get("job"):
            message = f"{self.kind}, and no job is named"
            raise ValueError(message)

    @property
    def name(self) -> str:
        """The file's name, which sorts in the order of events."""
        return f"{self.number:02d}-{self.kind}.json"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One job for rows of one shard, to be: its facts in order, and what they add up to.

    The first asks all rows; each later one is built of rows to be asked again.
    """

    shard: str
    number: int
    facts: tuple[Fact, ...] = ()

    @property
    def name(self) -> str:
        """`<shard>-<attempt>`, which names its files everywhere."""
        return f"{self.shard}-{self.number}"

    @property
    def asked_name(self) -> str:
        """What its request and rows files are called: the first attempt's are the shard's own."""
        return self.shard if self.number == 1 else self.name

    @property
    def stage(self) -> Stage:
        """How far it has come."""
        return _STAGES[self.facts[-1].kind] if self.facts else "unsent"

    @property
    def job(self) -> str | None:
        """The name of its job, once there is one."""
        fact = self.last("created", "adopted")
        return fact.content["job"] if fact else None

    @property
    def may_have_job(self) -> bool:
        """Whether a job may exist that no fact names: it was about to be created, no word since.

        Requests that go by file cannot have a job before they are uploaded.
        """
        intent = self.last("intent")
        if self.stage != "sending" or intent is None:
            return False
        return intent.content.get("target") == "inline" or self.last("uploaded") is not None

    @property
    def may_have_twin(self) -> bool:
        """Whether its create was repeated though an earlier one was never answered.

        The earlier one may have made a job that no list showed in time.
        """
        is_open = False
        for fact in self.facts:
            if fact.kind == "intent" and is_open:
                return True
            is_open = fact.kind in {"intent", "uploaded"}
        return False

    @property
    def twins(self) -> tuple[str, ...]:
        """Jobs of the same requests beside its own, which are paid for, too."""
        ended = self.last("ended")
        return tuple(ended.content.get("twins") or ()) if ended else ()

    @property
    def is_refused(self) -> bool:
        """Whether its job was refused for what is in the requests, not for how or when."""
        is_last = bool(self.facts) and self.facts[-1].kind == "refused"
        return is_last and self.facts[-1].content.get("reason") == "INVALID_ARGUMENT"

    @property
    def lacked_room(self) -> bool:
        """Whether the service refused it for want of room when it was last tried."""
        is_last = bool(self.facts) and self.facts[-1].kind == "refused"
        return is_last and self.facts[-1].content.get("status") == NO_ROOM

    @property
    def was_stopped(self) -> bool:
        """Whether its job ended before it was through with its requests."""
        ended = self.last("ended")
        return ended is not None and ended.content.get("state") in _STOPPED

    @property
    def max_output_tokens(self) -> int | None:
        """The raised limit that its requests have, where they are not those of the shard."""
        built = self.last("built")
        return built.content.get("max_output_tokens") if built else None

    @property
    def is_half(self) -> bool:
        """Whether it asks a part of what was refused as a whole, to find what is to blame."""
        built = self.last("built")
        return built is not None and built.content.get("half_of") is not None

    def last(self, *kinds: FactKind) -> Fact | None:
        """The latest fact of these kinds."""
        return next((fact for fact in reversed(self.facts) if fact.kind in kinds), None)


class Ledger:
    """The facts of one run directory; `observe` is called with each fact after it is written."""

    def __init__(
        self, folder: Path, observe: Sequence[Callable[[Attempt, Fact], None]] = ()
    ) -> None:
        self._folder = folder
        self._observe = list(observe)

    def attempt(self, shard: str, number: int) -> Attempt:
        """What is known of an attempt; one without facts is unsent."""
        folder = self._folder / f"{shard}-{number}"
        named = ((_number(path), path) for path in folder.glob("[0-9]*-*.json"))
        facts = tuple(_read(number, path) for number, path in sorted(named))
        for place, fact in enumerate(facts, start=1):
            if fact.number != place:
                raise damaged(folder / fact.name, f"it is fact {place} by its place")
        return Attempt(shard, number, facts)

    def attempts(self, shard: str) -> list[Attempt]:
        """All attempts at a shard in order; only the first may have no facts yet."""
        found = [self.attempt(shard, 1)]
        while (self._folder / f"{shard}-{found[-1].number + 1}").is_dir():
            attempt = self.attempt(shard, found[-1].number + 1)
            if not attempt.facts:  # its driver was killed before the first
                break
            found.append(attempt)
        return found

    def close(self, attempt: Attempt) -> Attempt:
        """Settle that no job is made for an attempt that was refused: its rows are errors."""
        said = attempt.facts[-1].content
        return self.write(attempt, "closed", reason=said["reason"], message=said["message"])

    def write(self, attempt: Attempt, kind: FactKind, **content: Any) -> Attempt:
        """Add a fact, durably, and return the attempt with it.

        Raises RunHeldError when another driver has written a fact in the meantime.
        """
        fact = Fact(len(attempt.facts) + 1, kind, _now(), content)
        folder = self._folder / attempt.name
        durable.make_folder(folder)
        text = jsonl.dumps_readable({"kind": fact.kind, "at": fact.at, **fact.content})
        taken = list(folder.glob(f"{fact.number:02d}-*.json"))
        if taken or not durable.create_once(folder / fact.name, text):
            message = f"another driver has written facts about shard {attempt.name}"
            raise RunHeldError(message, "unknown")
        written = Attempt(attempt.shard, attempt.number, (*attempt.facts, fact))
        for observe in self._observe:
            observe(written, fact)
        return written


def _read(number: int, path: Path) -> Fact:
    with reading(path):
        content = jsonl.loads(path.read_bytes())
        check_shape(content, {"kind": is_text, "at": is_number, **_CONTENT})
        fact = Fact(number, content.pop("kind"), content.pop("at"), content)
        if fact.name != path.name:
            message = f"it tells of {fact.kind}"
            raise ValueError(message)
        return fact


def _number(path: Path) -> int:
    try:
        return int(path.name.partition("-")[0])
    except ValueError as error:
        raise damaged(path, error) from error


def _now() -> float:
    return dt.datetime.now(dt.UTC).timestamp()
