"""What makes a request invalid, and where: a request body held against the field tables.

A type of the table compiles once into a check. A check gives the problems of a value with paths
that begin at the value, and whoever holds the value puts its own step before them: a body that is
right never pays for a path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from batchkit import jsonl
from batchkit.fields import FieldTable, Service, field_table, nearest
from batchkit.scalar import SCALARS, Scalar, is_enum_number
from batchkit.stray import stray

__all__ = ["Check", "Problem", "Rule", "body_check", "step"]

# Parsers read 100 levels (https://protobuf.dev/programming-guides/proto-limits/), of which the
# frame of an inlined request takes some.
_DEEPEST = 90
# One body may be a list of a million mistakes; the first say enough.
_MOST_PROBLEMS = 100
_LONGEST_NAME = 80
# What to write where a text or something else stands instead.
_EXAMPLES: Mapping[str, str] = MappingProxyType(
    {"Content": '{"parts": [{"text": …}]}', "Part": '{"text": …}'}
)
_NAME = re.compile(r"[A-Za-z_$][\w$-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a request: where (line, key, path), what, and what to do.

    `line` is 1-based and None outside a file; `key` is None when the line carries none; `rule`
    is a stable name to filter by.
    """

    severity: Literal["error", "warning"]
    rule: str
    path: str
    message: str
    remedy: str | None = None
    line: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        where = [f"line {self.line}"] if self.line is not None else []
        if self.key is not None:
            where.append(f"key {self.key!r}")
        place = ", ".join([*where, self.path])
        return f"{place}: {self.message}" + (f"; {self.remedy}" if self.remedy else "")

    def under(self, place: str) -> Problem:
        """The same problem with its path seen from further out."""
        return replace(self, path=f"{place}{self.path}")


# The problems of a value that stands so many levels deep.
Check: TypeAlias = Callable[[Any, int], Sequence[Problem]]
# What a field table cannot state about a message; the paths begin at the message.
Rule: TypeAlias = Callable[[Mapping[str, Any]], Sequence[Problem]]


def body_check(
    service: Service, request_type: str, rules: Mapping[str, Rule]
) -> Callable[[Any], Sequence[Problem]]:
    """A check of request bodies of a type; `rules` are held against the messages they name."""
    check = _Compiler(field_table(service), request_type, rules, {}).type(request_type)
    return lambda body: check(body, 1)


def step(name: str) -> str:
    """One step of a path: `.name`, or `["any name"]`."""
    if len(name) <= _LONGEST_NAME and _NAME.fullmatch(name):
        return f".{name}"
    return f"[{jsonl.dumps(_short(name)).decode()}]"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"


def _error(rule: str, message: str, remedy: str | None = None, path: str = "") -> Problem:
    return Problem("error", rule, path, message, remedy)


def _wrong(value: Any, wanted: str, remedy: str | None = None) -> list[Problem]:
    return [_error("wrong-type", f"{_kind(value)} instead of {wanted}", remedy)]


@dataclass(frozen=True, slots=True)
class _Compiler:
    """Field types become checks; `root` is the type of the whole body."""

    table: FieldTable
    root: str
    rules: Mapping[str, Rule]
    messages: dict[str, Check]

    def type(self, field_type: Any) -> Check:
        if jsonl.is_list(field_type):
            return self.repeated(field_type[0])
        values = self.table.enum(field_type)
        if values is not None:
            return _enum(values)
        if jsonl.is_object(field_type):
            return _map(self.type(field_type["map"]))
        scalar = SCALARS.get(field_type)
        if scalar is None:
            return self.message(field_type)
        return _any if field_type == "any" else _scalar(scalar)

    def repeated(self, item_type: Any) -> Check:
        check_item = self.type(item_type)
        example = _EXAMPLES.get(item_type) if isinstance(item_type, str) else None
        remedy = f"write [{example or ' '}]" + ("" if example else " around it")
        as_object = item_type == "Part" and self.table.service == "vertex"

        def check(value: Any, depth: int) -> Sequence[Problem]:
            if jsonl.is_list(value):
                return _item_problems(value, check_item, depth)
            if as_object and jsonl.is_object(value):
                message = "an object where a list is documented; Vertex AI is known to read it"
                told = Problem("warning", "parts-object", "", message, "write [ ] around it")
                return [told, *check_item(value, depth + 1)]
            return _wrong(value, "a list", remedy)

        return check

    def message(self, type_name: str) -> Check:
        if type_name in self.messages:
            return self.messages[type_name]
        known: dict[str, tuple[str, Check]] = {}
        self.messages[type_name] = self._message_check(type_name, known)
        # Only now the fields: a message may contain itself, as Schema does.
        for spelled, field in (self.table.message(type_name) or {}).items():
            known[spelled] = (field.name, self.type(field.type))
        return self.messages[type_name]

    def _message_check(self, type_name: str, known: Mapping[str, tuple[str, Check]]) -> Check:
        rule = self.rules.get(type_name)
        example = _EXAMPLES.get(type_name)
        remedy = f"write {example}" if example else None

        def check(value: Any, depth: int) -> Sequence[Problem]:
            if not jsonl.is_object(value):
                return _wrong(value, "an object", remedy)
            if depth > _DEEPEST:
                return [_TOO_DEEP]
            found = self.fields(value, type_name, known, depth + 1)
            return [*found, *rule(value)] if rule else found

        return check

    def fields(
        self,
        message: Mapping[str, Any],
        type_name: str,
        known: Mapping[str, tuple[str, Check]],
        depth: int,
    ) -> list[Problem]:
        found: list[Problem] = []
        for spelled, item in message.items():
            field = known.get(spelled)
            if field is None:
                found.append(self.stray(spelled, type_name))
            elif item is not None:  # proto JSON reads null as absent
                problems = field[1](item, depth)
                if problems:
                    found += [problem.under(step(spelled)) for problem in problems]
                if field[0] != spelled and message.get(field[0]) is not None:
                    found.append(_twice(field[0], spelled))
        return found

    def stray(self, name: str, type_name: str) -> Problem:
        told = stray(_short(name), type_name, self.table.service, self.root)
        return _error(told.rule, "unknown field", told.remedy, step(name))


def _item_problems(items: list[Any], check_item: Check, depth: int) -> Sequence[Problem]:
    found: list[Problem] = []
    for index, item in enumerate(items):
        problems = check_item(item, depth + 1)
        if problems:
            found += [problem.under(f"[{index}]") for problem in problems]
            if len(found) >= _MOST_PROBLEMS:
                break
    return found


def _twice(name: str, spelled: str) -> Problem:
    return _error("field-twice", f"{name} stands beside it", "write it once", step(spelled))


def _map(check_value: Check) -> Check:
    def check(value: Any, depth: int) -> Sequence[Problem]:
        if not jsonl.is_object(value):
            return _wrong(value, "an object")
        found: list[Problem] = []
        for name, item in value.items():
            problems = check_value(item, depth + 1)
            if problems:
                found += [problem.under(step(name)) for problem in problems]
        return found

    return check


def _enum(values: tuple[str, ...]) -> Check:
    """The name of a value, or its number: the tables have no numbers, so any is taken."""
    names = frozenset(values)

    def check(value: Any, _: int) -> Sequence[Problem]:
        if not isinstance(value, str):
            return () if is_enum_number(value) else _wrong(value, "the name of a value")
        if value in names:
            return ()
        near = nearest(value, values)
        remedy = f"did you mean {near}?" if near else f"the values are {', '.join(values[:8])}"
        return [_error("unknown-value", f"unknown value {_short(value)!r}", remedy)]

    return check


def _scalar(scalar: Scalar) -> Check:
    wanted, fits = scalar.wanted, scalar.fits
    return lambda value, _: () if fits(value) else _wrong(value, wanted)


def _any(value: Any, depth: int) -> Sequence[Problem]:
    """Any value, as long as a parser follows it down."""
    items = list(value.values()) if jsonl.is_object(value) else value
    if not jsonl.is_list(items):
        return ()
    too_deep = depth > _DEEPEST or any(_any(item, depth + 1) for item in items)
    return [_TOO_DEEP] if too_deep else ()


_TOO_DEEP = _error("too-deep", f"nested deeper than {_DEEPEST} levels", "flatten it")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    return "a list" if isinstance(value, list) else "an object"
