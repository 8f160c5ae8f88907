"""The scalar types of proto JSON: which JSON values a parser reads as each of them.

https://protobuf.dev/programming-guides/json/ writes integers as numbers or as text, numbers as
text, too, and bytes as base64 in either alphabet, padded or not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SCALARS", "Scalar", "is_enum_number"]

_NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,3})?")
_DURATION = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?s")
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})"
)
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar type: what it is in words, and whether a JSON value is one."""

    wanted: str
    fits: Callable[[Any], bool]


def is_enum_number(value: Any) -> bool:
    """Whether a value is the number of an enum's value, which parsers read as they do its name."""
    return value.__class__ is int and _INT32.fits(value)


def _integer(bits: int) -> Scalar:
    """1, 1.0, "1" and "1e0" are the integer 1."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def fits(value: Any) -> bool:
        if isinstance(value, str):
            number = Decimal(value) if _NUMBER.fullmatch(value) else Decimal("NaN")
            return number == number.to_integral_value() and low <= number <= high
        whole = value.__class__ is int or (isinstance(value, float) and value.is_integer())
        return whole and low <= value <= high

    return Scalar(f"a {bits}-bit integer", fits)


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return _NUMBER.fullmatch(value) is not None and isfinite(float(value))
    return value.__class__ in {int, float} and isfinite(value)


def _is_base64(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    digits = value.rstrip("=")
    strange = digits.encode("ascii", "replace").translate(None, _BASE64)
    return not strange and len(value) - len(digits) <= 2 and len(digits) % 4 != 1  # noqa: PLR2004  # base64 pads with two at most, and one digit is half a byte


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _matching(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _anything(_: Any) -> bool:
    return True


_INT32 = _integer(32)
_TIME = Scalar('a time as text, such as "2026-11-23T10:00:00Z"', _matching(_TIMESTAMP))
SCALARS: Mapping[str, Scalar] = MappingProxyType(
    {
        "any": Scalar("any value", _anything),
        "boolean": Scalar("true or false", _is_boolean),
        "byte": Scalar("base64", _is_base64),
        "date-time": _TIME,
        "double": Scalar("a number", _is_number),
        "float": Scalar("a number", _is_number),
        "google-datetime": _TIME,
        "google-duration": Scalar('seconds as text, such as "3.5s"', _matching(_DURATION)),
        "int32": _INT32,
        "int64": _integer(64),
        "string": Scalar("text", _is_text),
    }
)
