"""JSON text, written and read in one place: UTF-8, compact, no NaN, one newline per line."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import functools
import json
import math
from typing import TYPE_CHECKING, Any, TypeGuard

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO

__all__ = [
    "LONGEST_LINE_BYTES",
    "dumps",
    "dumps_foreign",
    "dumps_readable",
    "dumps_sorted",
    "dumps_with",
    "embedded",
    "fault",
    "is_list",
    "is_object",
    "lines",
    "loads",
    "loads_lenient",
    "unwritable",
]

# A request has at most 64 MiB, and comes back beside its answer.
LONGEST_LINE_BYTES = 128 * 1024**2
_TOO_LONG = f"the line is longer than {LONGEST_LINE_BYTES:,} bytes"
# Deeper values are refused rather than risk the stack; orjson itself stops at 254.
_MAX_DEPTH = 200


def dumps(value: Any) -> bytes:
    """One compact JSON text, no newline; check user values with `unwritable` first."""
    return orjson.dumps(value)


def dumps_with(value: Any, replace: Callable[[Any], Any]) -> bytes:
    """Compact JSON in which `replace` says what stands for each value that JSON does not know."""
    return orjson.dumps(value, default=replace, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def dumps_readable(value: Any) -> bytes:
    """Indented JSON with a closing newline, for files that people read."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def dumps_sorted(value: Any) -> bytes:
    """Compact JSON with sorted keys: equal values give equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def dumps_foreign(value: Any) -> bytes:
    """Compact JSON of a table's value.

    Dates are written in ISO 8601, decimals as text in plain digits, bytes in base64; NaN and
    infinity, which JSON has not, are null.
    """
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
    return orjson.dumps(value, default=_foreign, option=options)


def _foreign(value: Any) -> Any:
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return format(value, "f") if isinstance(value, decimal.Decimal) else str(value)


def embedded(text: str) -> Any:
    """A JSON text to be written inside another as it stands; any other text as a text."""
    try:
        value = loads(text)
    except ValueError:
        return text
    return value if "\n" in text else orjson.Fragment(text)


def loads(text: bytes | str) -> Any:
    """The value of one JSON text; ValueError when it is not JSON (NaN and a BOM are not)."""
    return orjson.loads(text)


def loads_lenient(text: bytes) -> Any:
    """As `loads`, but with U+FFFD for half of a surrogate pair, which a cut emoji may leave."""
    if len(text) > LONGEST_LINE_BYTES:
        raise ValueError(_TOO_LONG)
    try:
        return loads(text)
    except ValueError:
        if b"\\u" not in text:
            raise
        value = json.loads(
            text, parse_int=loads, parse_float=loads, parse_constant=_refuse_constant
        )
        return _without_surrogates(value)


def _refuse_constant(name: str) -> None:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if is_object(value):
        return {_without_surrogates(key): _without_surrogates(v) for key, v in value.items()}
    return [_without_surrogates(item) for item in value] if is_list(value) else value


def fault(text: bytes) -> tuple[str, str]:
    """Path and reason of what keeps a text that `loads` refused from being JSON."""
    if len(text) > LONGEST_LINE_BYTES:
        return "$", _TOO_LONG
    try:
        loads(text)
    except ValueError as error:
        reason = str(error)
    else:
        return "$", "nothing is wrong with it"
    if "unexpected end of data" in reason:
        return "$", "the line ends in the middle of its JSON"
    try:
        # The standard library reads NaN and Infinity, which others write and JSON has not.
        found = unwritable(json.loads(text))
    except (ValueError, RecursionError):
        found = None
    return found or ("$", f"not JSON: {reason}")


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a value read from JSON is an object."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a value read from JSON is a list."""
    return isinstance(value, list)


def lines(
    stream: IO[bytes] | Iterable[bytes], longest: int = LONGEST_LINE_BYTES
) -> Iterator[tuple[int, bytes]]:
    r"""Number (from 1) and text of each line that is not blank, split on bytes `\n` only.

    Of a line that is longer than `longest` only so much is held, and a byte more, which tells.
    """
    read: Callable[[int], bytes] | None = getattr(stream, "readline", None)
    pieces = stream if read is None else iter(functools.partial(read, longest + 1), b"")
    number, goes_on = 0, False
    for piece in pieces:
        is_whole = len(piece) <= longest or piece.endswith(b"\n")
        if goes_on:
            goes_on = not is_whole
            continue
        number += 1
        goes_on = not is_whole
        text = piece.strip(b" \t\r\n") if is_whole else piece
        if text:
            yield number, text


def unwritable(value: Any, path: str = "$") -> tuple[str, str] | None:
    """Path and reason of the first value that JSON cannot hold, or None.

    NaN, infinities, bytes, non-text keys and lone surrogates are such values. Dates, tuples and
    numpy values are refused, too: a request body is the REST API's own JSON.
    """
    return _unwritable(value, path, 0)


def _unwritable(value: Any, path: str, depth: int) -> tuple[str, str] | None:
    if depth > _MAX_DEPTH:
        return path, f"nested deeper than {_MAX_DEPTH} levels"
    if is_object(value):
        return _unwritable_mapping(value, path, depth)
    if is_list(value):
        found = (
            _unwritable(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)
        )
        return next((bad for bad in found if bad), None)
    reason = _unwritable_scalar(value)
    return (path, reason) if reason else None


def _unwritable_mapping(value: dict[Any, Any], path: str, depth: int) -> tuple[str, str] | None:
    for key, item in value.items():
        if not isinstance(key, str):
            return path, f"the key {key!r} is not text"
        reason = _unwritable_scalar(key)
        bad = (path, reason) if reason else _unwritable(item, f"{path}.{key}", depth + 1)
        if bad:
            return bad
    return None


def _unwritable_scalar(value: Any) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if -(2**63) <= value < 2**64 else f"{value} does not fit 64 bits"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{value} is not JSON"
    if isinstance(value, str):
        return None if _is_utf8(value) else "the text holds a lone surrogate, which is not UTF-8"
    return f"a {type(value).__name__} is not JSON"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
