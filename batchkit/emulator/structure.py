"""Values that fit a response schema, drawn from the words of the prompt.

https://ai.google.dev/gemini-api/docs/structured-output
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Draws", "fitting_value"]

RestSchema: TypeAlias = "dict[str, Any]"

# SplitMix64, https://doi.org/10.1145/2714064.2660195
_64_BITS = (1 << 64) - 1
_GAMMA, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_NULLS_ONE_IN = 8
_OMISSIONS_ONE_IN = 8
_MOST_EXTRA_ITEMS = 3
_MOST_WORDS = 4
_NUMBERS_UP_TO = 100
# Values, and characters asked for, of one answer; the service refuses what is too complex, too.
_MOST_DRAWS = 100_000
_DATES = {
    "date-time": "2026-{month:02d}-{day:02d}T12:00:00Z",
    "date": "2026-{month:02d}-{day:02d}",
    "time": "12:{month:02d}:{day:02d}Z",
}


class Draws:
    """Numbers that follow from a seed, and the words that texts are made of."""

    def __init__(self, seed: int, words: list[str]) -> None:
        self._state = seed & _64_BITS
        self._left = _MOST_DRAWS
        self.words: list[str] = words or ["answer"]

    def spend(self, draws: int) -> None:
        """Take what a value costs; ValueError when an answer would become too large."""
        self._left -= draws
        if self._left < 0:
            message = f"it asks for more than {_MOST_DRAWS} values or characters"
            raise ValueError(message)

    def below(self, limit: int) -> int:
        """The next number from 0 up to and without `limit`."""
        self._state = (self._state + _GAMMA) & _64_BITS
        mixed = (self._state ^ self._state >> 30) * _MIX_1 & _64_BITS
        mixed = (mixed ^ mixed >> 27) * _MIX_2 & _64_BITS
        return (mixed ^ mixed >> 31) % limit

    def one_in(self, chances: int) -> bool:
        """True once in so many times."""
        return self.below(chances) == 0


def fitting_value(schema: RestSchema, draws: Draws) -> Any:
    """A value of a REST Schema: types, enum, nullable, anyOf, bounds, required, propertyOrdering.

    Also of one with `prefixItems`, as rest_schema makes it. `pattern` and formats other than dates
    are not looked at. ValueError when the schema asks for too much.
    """
    draws.spend(1)
    if schema.get("nullable") and draws.one_in(_NULLS_ONE_IN):
        return None
    if schema.get("enum"):
        return schema["enum"][draws.below(len(schema["enum"]))]
    if schema.get("anyOf"):
        return fitting_value(schema["anyOf"][draws.below(len(schema["anyOf"]))], draws)
    return _MAKERS[_type(schema)](schema, draws)


def _type(schema: RestSchema) -> str:
    if schema.get("type") in _MAKERS:
        return schema["type"]
    if "properties" in schema:
        return "OBJECT"
    return "ARRAY" if "items" in schema else "STRING"


def _text(schema: RestSchema, draws: Draws) -> str:
    pattern = _DATES.get(schema.get("format", ""))
    if pattern:
        return pattern.format(month=1 + draws.below(12), day=1 + draws.below(28))
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength")
    draws.spend(max(0, shortest))
    start = draws.below(len(draws.words))
    count = 1 + draws.below(_MOST_WORDS)
    text = " ".join(draws.words[start : start + count])
    if len(text) < shortest:
        text = (text + " ") * (shortest // (len(text) + 1) + 1)
    return text[: max(shortest, len(text.rstrip()))][:longest]


def _bounds(schema: RestSchema) -> tuple[float, float]:
    low: float = schema.get("minimum", min(0, schema.get("maximum", 0)))
    return low, schema.get("maximum", max(low, 0) + _NUMBERS_UP_TO)


def _integer(schema: RestSchema, draws: Draws) -> int:
    low, high = _bounds(schema)
    first, last = math.ceil(low), math.floor(high)
    return first + draws.below(max(1, last - first + 1))


def _number(schema: RestSchema, draws: Draws) -> float:
    low, high = _bounds(schema)
    steps = 1000
    drawn = round(low + (high - low) * draws.below(steps + 1) / steps, 3)
    return float(max(low, min(high, drawn)))


def _boolean(_schema: RestSchema, draws: Draws) -> bool:
    return draws.one_in(2)


def _array(schema: RestSchema, draws: Draws) -> list[Any]:
    first: list[RestSchema] = schema.get("prefixItems", [])
    fewest = max(schema.get("minItems", 0), len(first))
    most = schema.get("maxItems", max(fewest, 1) + _MOST_EXTRA_ITEMS)
    most = min(most, fewest + _MOST_EXTRA_ITEMS)
    count = fewest + draws.below(max(1, most - fewest + 1))
    draws.spend(count)
    rest = itertools.repeat(schema.get("items", {}))
    items = itertools.islice(itertools.chain(first, rest), count)
    return [fitting_value(item, draws) for item in items]


def _object(schema: RestSchema, draws: Draws) -> dict[str, Any]:
    properties: dict[str, RestSchema] = schema.get("properties", {})
    ordering = [name for name in schema.get("propertyOrdering", ()) if name in properties]
    required = set(schema.get("required", ()))
    return {
        name: fitting_value(properties[name], draws)
        for name in dict.fromkeys([*ordering, *properties])
        if name in required or not draws.one_in(_OMISSIONS_ONE_IN)
    }


def _null(_schema: RestSchema, _draws: Draws) -> None:
    return None


_MAKERS: dict[str, Callable[[RestSchema, Draws], Any]] = {
    "STRING": _text,
    "INTEGER": _integer,
    "NUMBER": _number,
    "BOOLEAN": _boolean,
    "ARRAY": _array,
    "OBJECT": _object,
    "NULL": _null,
}
