"""What can be made to go wrong, as values: with a call, with a job, with rows of its output."""

from __future__ import annotations

import typing
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

__all__ = ["CallFault", "Fault", "JobFault", "RowFault", "parse_fault"]

CallName: TypeAlias = Literal[
    "create", "get", "list", "cancel", "delete", "upload", "download", "answer", "any"
]
_CallKind: TypeAlias = Literal["refuse", "lose", "cut", "interrupt"]
_JobKind: TypeAlias = Literal["hide", "stick", "expire", "fail", "cancel"]
_RowKind: TypeAlias = Literal[
    "drop",
    "repeat",
    "contradict",
    "unkey",
    "stray",
    "break",
    "error",
    "empty",
    "block",
    "truncate",
    "garble",
]


@dataclass(frozen=True, slots=True)
class CallFault:
    """What befalls a call.

    `kind`: "refuse" answers with the error `code` and does nothing; "lose" does what was asked and
    answers with the error; "cut" does it and cuts the connection in the middle of the reply's body;
    "interrupt" cuts it in the middle of the request's body, and what came so far is kept where the
    service keeps it.
    `on`: "create", "get", "list", "cancel" and "delete" of a job; "upload" and "download" of files
    and objects; "answer", a call that a model answers at once; "any" of these.
    `code` is an HTTP status or a google.rpc code. After `skip` such calls it befalls the next
    `times`, None for all of them.
    """

    kind: _CallKind
    on: CallName = "any"
    code: int = 503
    message: str = ""
    times: int | None = 1
    skip: int = 0

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True)
class JobFault:
    """What befalls a job, decided when it is created.

    `kind`: "hide" keeps it out of lists for `seconds`; "stick" leaves it pending until it expires;
    "expire", "fail" and "cancel" end it when it would have succeeded, with the share `answered` of
    its rows answered and paid: Vertex AI gives those, the Developer API nothing. "fail" says `code`
    and `message`; the code 3 refuses its requests as a whole.
    It befalls the next `times` jobs, None for all of them.
    """

    kind: _JobKind
    answered: float = 0.0
    seconds: float = 0.0
    code: int = 13
    message: str = ""
    times: int | None = None

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True)
class RowFault:
    """What befalls rows in the output of a job, decided when it is created.

    What becomes of a line: "drop" leaves it out, "repeat" writes it twice, "contradict" twice with
    differing answers, "unkey" without what names its row (of a row that Vertex AI echoes, the key
    and the labels), "stray" under a key that no row has, "break" cuts it in half (where that would
    break the others, its response).
    What becomes of an answer: "error" is an error with `code` and `message`, "empty" has no
    candidate and no embedding, "block" says that the prompt was blocked, "truncate" ends early with
    MAX_TOKENS, "garble" is half of a text or a vector, as if it were whole.

    It befalls a `share` of the rows, to the nearest whole number, that no other fault befalls, of
    those whose request contains the text `where`; which of them follows from the seed and the job.
    It is in force for the next `times` jobs, None for all of them.
    """

    kind: _RowKind
    share: float = 1.0
    where: str = ""
    code: int = 13
    message: str = ""
    times: int | None = None

    def __post_init__(self) -> None:
        _check(self)


Fault: TypeAlias = CallFault | JobFault | RowFault

_CLASSES = (CallFault, JobFault, RowFault)
_SHARES = ("share", "answered")
_LEAST = {"seconds": 0, "skip": 0, "times": 1, "code": 1}


def _check(fault: Fault) -> None:
    """ValueError for a fault that there is not."""
    for name, known in (("kind", _kinds(type(fault))), ("on", typing.get_args(CallName))):
        value = getattr(fault, name, None)
        if value is not None and value not in known:
            message = f"{type(fault).__name__}({name}={value!r}): it is one of {', '.join(known)}"
            raise ValueError(message)
    for name in _SHARES:
        if not 0 <= getattr(fault, name, 0) <= 1:
            message = f"{type(fault).__name__}({name}={getattr(fault, name)}): it is from 0 to 1"
            raise ValueError(message)
    for name, least in _LEAST.items():
        value = getattr(fault, name, None)
        if value is not None and not value >= least:
            message = f"{type(fault).__name__}({name}={value}): it is {least} or more"
            raise ValueError(message)


def _kinds(of: type[Fault]) -> tuple[str, ...]:
    kinds = {CallFault: _CallKind, JobFault: _JobKind, RowFault: _RowKind}
    return typing.get_args(kinds[of])


def parse_fault(text: str) -> Fault:
    """A fault as text: its kind, and its fields, as in `expire,answered=0.4`; ValueError else."""
    kind, *given = text.split(",")
    found = next((each for each in _CLASSES if kind in _kinds(each)), None)
    if found is None:
        known = ", ".join(name for each in _CLASSES for name in _kinds(each))
        message = f"{kind!r} is no fault; there are {known}"
        raise ValueError(message)
    types = {field.name: str(field.type) for field in fields(found) if field.name != "kind"}
    values: dict[str, Any] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if name not in types or not equals:
            message = f"{pair!r}: a fault of kind {kind} takes {', '.join(types)}, as name=value"
            raise ValueError(message)
        values[name] = _value(types[name], value)
    return found(kind, **values)  # pyright: ignore[reportArgumentType]  # checked by the fault


def _value(kind: str, text: str) -> Any:
    if text == "all" and kind == "int | None":
        return None
    return {"int": int, "int | None": int, "float": float}.get(kind, str)(text)
