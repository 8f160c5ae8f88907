"""Files damaged on purpose: by bytes, by lines, and by the values of the JSON in them."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

__all__ = ["mutated"]

_MOST_BYTES = 500_000
_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64,
    10**400,
    -(10**30),
    1.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "0",
    "../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "\ud800",
    "n" * 20_000,
    "BATCH_STATE_SUCCEEDED",
    "2026-13-45T99:99:99Z",
    [],
    {},
    [[]],
    [None],
    {"": None},
    ["x"],
    {"error": {"error": {}}},
)
_PIECES = (
    b"",
    b"\0",
    b"\n",
    b"\r\n",
    b'"',
    b"{",
    b"}",
    b"[",
    b"NaN",
    b"1e999",
    b"\xff",
    b"\xed\xa0\x80",
    b"\\ud83d",
    b"\xe2\x80\xa8",
    b"[" * 5_000,
    b'{"a":' * 3_000,
    b"9" * 5_000,
    b"PAR1",
)


def mutated(content: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """The content after one to four changes."""
    for _ in range(chance.randint(1, 4)):
        change = chance.choice((_json_value, _json_value, _json_value, _bytes, _lines, _spliced))
        content = change(content, chance, others)[:_MOST_BYTES]
    return content


def _json_value(content: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """Another value somewhere in the JSON of the whole, or of one line."""
    with contextlib.suppress(ValueError, RecursionError):
        return _dumped(_changed(json.loads(content), chance))
    lines = content.split(b"\n")
    index = chance.randrange(len(lines))
    with contextlib.suppress(ValueError, RecursionError):
        lines[index] = _dumped(_changed(json.loads(lines[index]), chance))
        return b"\n".join(lines)
    return _bytes(content, chance, others)


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _changed(value: Any, chance: random.Random) -> Any:
    """The value with one of its parts changed, left out, nested deeper, or named otherwise."""
    is_deeper = chance.random() < 0.8  # mostly
    if isinstance(value, dict) and value and is_deeper:
        name = chance.choice(list(value))
        what = chance.random()
        if what < 0.1:  # sometimes
            return {n: v for n, v in value.items() if n != name}
        if what < 0.2:  # as above
            return {**value, name + "x": value[name]}
        return {**value, name: _changed(value[name], chance)}
    if isinstance(value, list) and value and is_deeper:
        index = chance.randrange(len(value))
        inner = [_changed(value[index], chance)] * chance.choice((0, 1, 1, 1, 2, 10))
        return [*value[:index], *inner, *value[index + 1 :]]
    if chance.random() < 0.1:  # as above
        for _ in range(chance.choice((1, 2, 150, 400))):
            value = chance.choice(([value], {"a": value}))
        return value
    return chance.choice(_VALUES)


def _bytes(content: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    """Some bytes cut out, or replaced, or doubled."""
    start = chance.randint(0, len(content))
    stop = min(len(content), start + chance.choice((0, 1, 1, 4, 64, 10_000)))
    piece = chance.choice((*_PIECES, content[start:stop] * 2, bytes([chance.randrange(256)])))
    return content[:start] + piece + content[stop:]


def _lines(content: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    """Lines left out, repeated, or in another order."""
    lines = content.split(b"\n")
    chance.shuffle(lines)
    return b"\n".join(lines[: chance.randint(0, len(lines))] * chance.choice((1, 1, 2)))


def _spliced(content: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """The beginning of one and the end of another."""
    other = chance.choice(others)
    return content[: chance.randint(0, len(content))] + other[chance.randint(0, len(other)) :]
